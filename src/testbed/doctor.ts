/** Looks at everything that a testbed needs, and tries what can be tried without leaving anything behind. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadNative } from '../io/native.ts';
import { availableCongestionControls } from './congestion-control.ts';
import { ipBatch } from './iproute.ts';
import { findProgram, isTunDevice, TUN_DEVICE } from './preconditions.ts';
import { NETNS_DIRECTORY, runRoot } from './run-directory.ts';
import { listTestbeds } from './select.ts';

export interface Finding {
  readonly check: string;
  /** `note`: works without it, less well. */
  readonly state: 'good' | 'note' | 'missing';
  readonly found: string;
  readonly remedy?: string;
}

const OPTIONAL_PROGRAMS = { ping: 'iputils-ping', curl: 'curl', lftp: 'lftp', tshark: 'tshark' } as const;
const LEAST_FREE_OCTETS = 64 << 20;

export async function diagnose(): Promise<Finding[]> {
  const root = process.getuid?.() === 0;
  const findings = [
    node(),
    root
      ? good('root', 'yes')
      : missing('root', 'no: testbeds, and some checks below, need it', 'run with sudo: sudo omni doctor'),
    ip(),
    tunDevice(),
    ...(await addon(root)),
    ...(root && findProgram('ip') !== undefined ? [await namespaces()] : []),
    congestionControls(),
    runDirectory(root),
    ...(await leftovers()),
    ...optionalPrograms(),
  ];
  return findings;
}

const good = (check: string, found: string): Finding => ({ check, state: 'good', found });
const note = (check: string, found: string, remedy: string): Finding => ({ check, state: 'note', found, remedy });
const missing = (check: string, found: string, remedy: string): Finding => ({ check, state: 'missing', found, remedy });

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19)
    ? good('Node', process.versions.node)
    : missing('Node', `${process.versions.node} is too old`, 'install Node 20.19 or newer');
}

function ip(): Finding {
  const path = findProgram('ip');
  if (path === undefined) return missing('ip', 'not installed', 'apt-get install iproute2');
  const version = execFileSync(path, ['-V'], { encoding: 'utf8' }).trim().split(', ')[0]!;
  return good('ip', version.replace('ip utility', path));
}

function tunDevice(): Finding {
  return isTunDevice()
    ? good('TUN', TUN_DEVICE)
    : missing('TUN', `there is no ${TUN_DEVICE}`, 'modprobe tun; in a container, start it with --device /dev/net/tun');
}

/** The addon, and with root what it can do here: a TUN that is closed again at once, real-time priority. */
async function addon(root: boolean): Promise<Finding[]> {
  try {
    const native = await loadNative();
    const findings = [good('native addon', 'loads')];
    if (!root) return findings;
    try {
      native.closeFd(native.openTun({ name: `omni-dr%d` }).fd);
      findings.push(good('TUN opens', 'yes'));
    } catch (error) {
      findings.push(
        missing('TUN opens', (error as Error).message, 'CAP_NET_ADMIN is needed; in a container, --cap-add NET_ADMIN'),
      );
    }
    const realtime = native.setRealtimePriority(1);
    if (realtime) native.setRealtimePriority(0);
    findings.push(
      realtime
        ? good('real-time priority', 'granted')
        : note(
            'real-time priority',
            'refused: delays are less exact on a busy machine',
            'CAP_SYS_NICE; in a container, --cap-add SYS_NICE',
          ),
    );
    return findings;
  } catch (error) {
    const { message, remedy } = error as Error & { remedy?: string };
    return [missing('native addon', message, remedy ?? "run 'npm run setup'")];
  }
}

async function namespaces(): Promise<Finding> {
  const name = `omni-doctor-${process.pid}`;
  try {
    await ipBatch([`netns add ${name}`]);
    return good('network namespaces', 'can be made');
  } catch (error) {
    return missing(
      'network namespaces',
      (error as Error).message,
      'CAP_SYS_ADMIN is needed; in a container, --cap-add SYS_ADMIN',
    );
  } finally {
    if (existsSync(join(NETNS_DIRECTORY, name))) await ipBatch([`netns del ${name}`], { force: true });
  }
}

function congestionControls(): Finding {
  const available = availableCongestionControls();
  if (available === undefined) return note('TCP congestion controls', 'cannot be read', 'mount /proc');
  const lacking = ['reno', 'cubic', 'bbr'].filter((name) => !available.includes(name));
  return lacking.length === 0
    ? good('TCP congestion controls', available.join(' '))
    : note(
        'TCP congestion controls',
        `${available.join(' ')}; not ${lacking.join(', ')}`,
        lacking.map((n) => `modprobe tcp_${n}`).join('; '),
      );
}

function runDirectory(root: boolean): Finding {
  const directory = runRoot();
  let existing = directory;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  const free = `${Math.round((bavail * bsize) / 2 ** 20)} MiB free`;
  if (bavail * bsize < LEAST_FREE_OCTETS)
    return missing(
      'run directory',
      `${directory}: ${free}`,
      `free some space in ${existing}, or set OMNI_RUN_DIRECTORY`,
    );
  if (!root) return good('run directory', `${directory}, ${free}`);
  const trial = join(existing, `.omni-doctor-${process.pid}`);
  try {
    mkdirSync(trial);
    rmdirSync(trial);
    return good('run directory', `${directory}, ${free}`);
  } catch (error) {
    return missing(
      'run directory',
      `${directory}: ${(error as Error).message}`,
      'set OMNI_RUN_DIRECTORY to a folder that can be written',
    );
  }
}

async function leftovers(): Promise<Finding[]> {
  const testbeds = await listTestbeds();
  const broken = testbeds.filter((t) => t.state === 'broken');
  if (broken.length > 0)
    return [
      note(
        'leftovers',
        `of ${broken.map((t) => t.name).join(', ')}`,
        broken.map((t) => `omni down ${t.name}`).join('; '),
      ),
    ];
  return [
    good(
      'testbeds',
      testbeds.length === 0 ? 'none, and no leftovers' : testbeds.map((t) => `${t.name} is ${t.state}`).join(', '),
    ),
  ];
}

function optionalPrograms(): Finding[] {
  return Object.entries(OPTIONAL_PROGRAMS).map(([program, debianPackage]) => {
    const path = findProgram(program);
    return path === undefined
      ? note(program, 'not installed; only some examples and tests use it', `apt-get install ${debianPackage}`)
      : good(program, path);
  });
}
