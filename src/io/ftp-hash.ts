/** Whole files, read for what FTP tells of their content: HASH and the X forms, and SIZE of type A. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { HashAlgorithm } from '../apps/ftp/index.ts';

/** Hands a stretch of a file out in pieces; false when it was told to stop. */
export async function readAll(
  file: FileHandle,
  begin: number,
  end: number,
  signal: AbortSignal,
  use: (chunk: Uint8Array) => void,
): Promise<boolean> {
  const block = Buffer.allocUnsafe(1024 * 1024);
  for (let at = begin; at < end; ) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, end - at), at);
    if (signal.aborted) return false;
    if (bytesRead === 0) break;
    use(block.subarray(0, bytesRead));
    at += bytesRead;
  }
  return true;
}

export function digestFor(algorithm: HashAlgorithm): { update: (chunk: Uint8Array) => void; finish: () => string } {
  if (algorithm === 'CRC32') {
    let value = 0;
    return {
      update: (chunk) => {
        value = crc32(chunk, value);
      },
      finish: () => value.toString(16).padStart(8, '0'),
    };
  }
  const hash = createHash(algorithm.replace('-', '').toLowerCase());
  return { update: (chunk) => void hash.update(chunk), finish: () => hash.digest('hex') };
}
