/** HMAC-SHA-256 from OpenSSL for telecommands. */
import { createHmac } from 'node:crypto';
import type { Hmac } from '../apps/command/index.ts';

export const commandKeys = (keys: readonly { id: number; hmacSha256: string }[]): Map<number, Hmac> =>
  new Map(
    keys.map(({ id, hmacSha256 }) => {
      const key = Buffer.from(hmacSha256, 'hex');
      return [id, (octets: Uint8Array) => createHmac('sha256', key).update(octets).digest()];
    }),
  );
