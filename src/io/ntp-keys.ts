/** AES-128 for NTP's CMAC from OpenSSL. ECB of single blocks is the bare block cipher, and a cipher object keeps no state between them. */
import { createCipheriv } from 'node:crypto';
import type { NtpKey } from '../apps/ntp/index.ts';
import { fromHex, OmniError } from '../core/index.ts';

export function ntpKey(id: number, aes128: Uint8Array): NtpKey {
  const cipher = createCipheriv('aes-128-ecb', aes128, null).setAutoPadding(false);
  return { id, encrypt: (block) => cipher.update(block) };
}

export const ntpKeys = (keys: readonly { id: number; aes128: string }[]): Map<number, NtpKey> =>
  new Map(keys.map((k) => [k.id, ntpKey(k.id, fromHex(k.aes128))]));

/** `7:000102…0f` as the command line takes it. */
export function parseKey(text: string): { id: number; aes128: string } {
  const match = /^([1-9]\d{0,9}):([0-9a-fA-F]{32})$/.exec(text);
  if (match === null)
    throw new OmniError('OMNI_KEY', `'${text}' is not a key`, { remedy: 'write ID:32 hexadecimal digits (AES-128).' });
  return { id: Number(match[1]), aes128: match[2]! };
}
