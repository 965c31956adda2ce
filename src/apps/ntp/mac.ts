/**
 * NTP symmetric keys: AES-128-CMAC (RFC 8573, algorithm RFC 4493 §2.4). MD5 is not offered: RFC 8573 §2 deprecates it.
 * The block cipher is a port: OpenSSL's AES (src/io/ntp-keys.ts) is constant in time and kept by others; a table-driven AES of
 * our own would be neither, and CMAC over it is these few lines.
 */
import { equalOctets, Writer } from '../../core/index.ts';
import { correctionSpans } from './correction.ts';
import type { NtpPacket } from './packet.ts';

/** AES-128 of one 16-octet block under a key that the function holds. */
export type BlockCipher = (block: Uint8Array) => Uint8Array;

/** A key as both ends hold it (RFC 8573 §3: identifier, type and key must all match). */
export interface NtpKey {
  /** 1 … 2^32 − 1; zero never names a key. */
  readonly id: number;
  readonly encrypt: BlockCipher;
}

/** RFC 4493 §2.4. */
export function cmac(encrypt: BlockCipher, message: Uint8Array): Uint8Array {
  const k1 = double(encrypt(new Uint8Array(16)));
  const complete = message.length > 0 && message.length % 16 === 0;
  const blocks = Math.max(1, Math.ceil(message.length / 16));
  let state = new Uint8Array(16);
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(16);
    block.set(message.subarray(16 * i, 16 * i + 16));
    if (i === blocks - 1) {
      if (!complete) block[message.length - 16 * i] = 0x80;
      exclusiveOr(block, complete ? k1 : double(k1));
    }
    exclusiveOr(block, state);
    state = Uint8Array.from(encrypt(block));
  }
  return state;
}

/** Appends key identifier and digest to an emitted packet. */
export function authenticate(octets: Uint8Array, key: NtpKey): Uint8Array {
  return new Writer(octets.length + 20)
    .octets(octets)
    .uint32(key.id)
    .octets(cmac(key.encrypt, withoutCorrections(octets)))
    .finish();
}

/** Whether the packet's MAC was made with this key. `octets` is the packet as received. */
export function isAuthentic(octets: Uint8Array, packet: NtpPacket, key: NtpKey): boolean {
  const mac = packet.mac;
  if (mac === undefined || mac.keyId !== key.id || mac.digest.length !== 16) return false;
  return equalOctets(cmac(key.encrypt, withoutCorrections(octets.subarray(0, mac.covers))), mac.digest);
}

/** The octets that the MAC covers: a link on the way may change the correction fields, so they count as zero (as mutable fields
 * do in RFC 4302 §3.3.3.1). */
function withoutCorrections(octets: Uint8Array): Uint8Array {
  const spans = correctionSpans(octets);
  if (spans.length === 0) return octets;
  const copy = octets.slice();
  for (const { at, length } of spans) copy.fill(0, at, at + length);
  return copy;
}

function double(block: Uint8Array): Uint8Array {
  const out = new Uint8Array(16);
  for (let i = 0; i < 16; i++) out[i] = (block[i]! << 1) | ((block[i + 1] ?? 0) >>> 7);
  if (block[0]! & 0x80) out[15]! ^= 0x87;
  return out;
}

function exclusiveOr(target: Uint8Array, other: Uint8Array): void {
  for (let i = 0; i < 16; i++) target[i]! ^= other[i]!;
}
