/** A file that appears whole or not at all: written beside, synced, renamed, its folder synced. */
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export async function writeWholeFile(path: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  const beside = `${path}.tmp`;
  const handle = await open(beside, 'w', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
