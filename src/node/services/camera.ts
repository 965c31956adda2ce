/**
 * The onboard camera as a node's service: when the node starts it takes the scenario's photographs and puts them where the FTP
 * server serves from. A file appears whole or not at all (written beside, synced, renamed); one that is there with the right
 * size is left alone, so that a restart does not change what a client may be resuming.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflateSync } from 'node:zlib';
import { cameraSettings, photograph, SMALLEST_PHOTOGRAPH_OCTETS } from '../../apps/camera/index.ts';
import { isoTime } from '../../apps/telemetry/index.ts';
import { onboard } from '../onboard.ts';
import type { Service, ServiceContext } from '../service.ts';

/** Of a photograph that a command asks for without a size: UoSAT-12's of 5 July 2000. */
const USUAL_OCTETS = 227_840;

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
  const node = onboard(context);
  node.publish('camera', () => ({
    imagesTaken: taken.length,
    lastImageOctets: taken.at(-1)?.octets ?? 0,
    lastImage: taken.at(-1)?.name ?? '',
  }));
  node.offer('camera.take', async ({ octets: wanted }) => {
    const octets = Number(wanted) === 0 ? USUAL_OCTETS : Number(wanted);
    if (octets < SMALLEST_PHOTOGRAPH_OCTETS)
      throw new Error(`a photograph has at least ${SMALLEST_PHOTOGRAPH_OCTETS} octets`);
    const second = isoTime(context.clock.now()).slice(0, 19);
    const name = `${second.replaceAll(/[-:]/g, '').replace('T', '-')}-${taken.length}.png`;
    const { png, width, height } = photograph({
      seed: name,
      octets,
      deflate: (data) => deflateSync(data, { level: 9 }),
      camera: `${context.node} wide-angle camera (simulated)`,
      takenAt: `${second}Z`,
    });
    await store(join(folder, name), png);
    taken.push({ name, octets, width, height });
    context.log(`camera image=${name} octets=${octets} width=${width} height=${height}`);
    return name;
  });
  return {
    name: 'camera',
    status: () => ({ folder, images: taken }),
    close: async () => {
      node.withdraw('camera.take');
      node.silence('camera');
    },
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
