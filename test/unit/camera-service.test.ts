import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cameraSettings } from '../../src/apps/camera/index.ts';
import type { WallTime } from '../../src/core/index.ts';
import { onboard } from '../../src/node/onboard.ts';
import type { ServiceContext } from '../../src/node/service.ts';
import { startCamera } from '../../src/node/services/camera.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-camera-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const context = (settings: unknown, lines: string[] = []): ServiceContext => ({
  scenario: 'test',
  node: 'spacecraft',
  settings,
  stateDirectory: folder,
  runDirectory: folder,
  clock: { now: () => 0n as WallTime },
  contacts: { next: () => [], always: true },
  log: (line) => lines.push(line),
});

test('takes the photographs into the FTP root, once', async () => {
  const lines: string[] = [];
  const settings = {
    images: [
      { name: 'a.png', octets: 9000 },
      { name: 'b.png', octets: 5000, seed: 4 },
    ],
  };
  const camera = await startCamera(context(settings, lines));
  await camera.close();
  expect(readdirSync(join(folder, 'files')).sort()).toEqual(['a.png', 'b.png']);
  expect(statSync(join(folder, 'files', 'a.png')).size).toBe(9000);
  expect(readFileSync(join(folder, 'files', 'b.png')).toString('latin1', 1, 4)).toBe('PNG');
  expect(lines).toHaveLength(2);
  await startCamera(context(settings, lines));
  expect(lines).toHaveLength(2);
});

test('the same settings give the same file', async () => {
  const settings = { folder: join(folder, 'x'), images: [{ name: 'a.png', octets: 9000, seed: 1 }] };
  await startCamera(context(settings));
  const first = readFileSync(join(folder, 'x', 'a.png'));
  rmSync(join(folder, 'x'), { recursive: true });
  await startCamera(context(settings));
  expect(readFileSync(join(folder, 'x', 'a.png')).equals(first)).toBe(true);
});

test('a file name cannot leave the folder', () => {
  for (const name of ['../x.png', '/etc/x', '.hidden', 'a/b.png', ''])
    expect(cameraSettings.safeParse({ images: [{ name, octets: 5000 }] }).success).toBe(false);
});

test('a command takes a photograph named by the clock; telemetry reads it', async () => {
  const camera = await startCamera(context({ images: [] }));
  const node = onboard({ scenario: 'test', node: 'spacecraft' });
  expect(await node.action('camera.take')!({ octets: 8000 })).toBe('19700101-000000-0.png');
  expect(statSync(join(folder, 'files', '19700101-000000-0.png')).size).toBe(8000);
  expect(node.read('camera')).toEqual({ imagesTaken: 1, lastImageOctets: 8000, lastImage: '19700101-000000-0.png' });
  await expect(async () => node.action('camera.take')!({ octets: 10 })).rejects.toThrow('at least');
  await camera.close();
  expect(node.action('camera.take')).toBeUndefined();
});
