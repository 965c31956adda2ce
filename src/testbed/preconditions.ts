/** What the machine must offer before a testbed is built: checked at once by `omni up`, told in full by `omni doctor`. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OmniError } from '../core/index.ts';

export const TUN_DEVICE = '/dev/net/tun';

/** Throws OmniError OMNI_NO_PERMISSION or OMNI_UNAVAILABLE with the remedy. Starts no process. */
export function requireTestbedMachine(): void {
  requireRoot('a testbed is made of network namespaces and TUN devices');
  requireIp();
  if (!isTunDevice())
    throw new OmniError('OMNI_UNAVAILABLE', `there is no ${TUN_DEVICE}`, {
      remedy: `run 'modprobe tun'; in a container, start it with --device ${TUN_DEVICE} --cap-add NET_ADMIN --cap-add SYS_ADMIN`,
    });
}

export function requireRoot(why: string): void {
  if (process.getuid?.() !== 0)
    throw new OmniError('OMNI_NO_PERMISSION', `this needs root: ${why}`, { remedy: 'run it with sudo' });
}

export function requireIp(): void {
  if (findProgram('ip') === undefined)
    throw new OmniError('OMNI_UNAVAILABLE', "the program 'ip' is not installed", {
      remedy: 'apt-get install iproute2',
    });
}

/** Linux's admin-guide/devices.txt: character device 10, 200. */
const TUN_DEVICE_NUMBER = (10 << 8) | 200;

export const isTunDevice = (): boolean => statSync(TUN_DEVICE, { throwIfNoEntry: false })?.rdev === TUN_DEVICE_NUMBER;

/** The full path; /usr/sbin and /sbin are looked into as well, which are often not on a user's PATH. */
export function findProgram(name: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const path = join(folder === '' ? '.' : folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}
