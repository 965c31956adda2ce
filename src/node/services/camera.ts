/**
 * The onboard camera as a node's service: when the node starts it takes the scenario's photographs and puts them where the FTP
 * server serves from. A file appears whole or not at all (written beside, synced, renamed); one that is there with the right
 * size is left alone, so that a restart does not change what a client may be resuming.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflateSync } from 'node:zlib';
import { cameraSettings, photograph } from '../../apps/camera/index.ts';
import type { Service, ServiceContext } from '../service.ts';

const turn = promisify(setImmediate);

export async function startCamera(context: ServiceContext): Promise<Service> {
  const settings = cameraSettings.parse(context.settings ?? {});
  const folder = settings.folder ?? join(context.stateDirectory, 'files');
  await mkdir(folder, { recursive: true });
  const taken: { name: string; octets: number; width?: number; height?: number }[] = [];
  for (const image of settings.images) {
    const file = join(folder, image.name);
    if ((await stat(file).catch(() => undefined))?.size === image.octets) {
      taken.push({ name: image.name, octets: image.octets });
      continue;
    }
    const { png, width, height } = photograph({
      seed: image.seed ?? image.name,
      octets: image.octets,
      deflate: (octets) => deflateSync(octets, { level: 9 }),
      camera: `${context.node} wide-angle camera (simulated)`,
      ...(image.takenAt === undefined ? {} : { takenAt: image.takenAt }),
    });
    await store(file, png);
    taken.push({ name: image.name, octets: image.octets, width, height });
    context.log(`camera image=${image.name} octets=${image.octets} width=${width} height=${height}`);
    await turn(); // the node's other services get their turn between two photographs
  }
  return {
    name: 'camera',
    status: () => ({ folder, images: taken }),
    close: async () => {},
  };
}

async function store(file: string, octets: Uint8Array): Promise<void> {
  const partial = `${file}.part`;
  const handle = await open(partial, 'w', 0o644);
  try {
    await handle.writeFile(octets);
    await handle.sync();
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(partial, file);
}
