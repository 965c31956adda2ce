/** Files and folders that a power failure does not take: a file appears whole or not at all (written beside, synced, renamed, its folder synced). */
import { mkdir, open, rename } from 'node:fs/promises';
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
  await syncFolder(dirname(path));
}

/** What was renamed or made in it is there after a power failure. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** With all above it; what was made is synced, or a power failure could take the folder and all in it. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}
