/**
 * A testbed for files across passes: one control centre, one ground station, and a spacecraft of its own for every client, all
 * with the same contacts, so that clients run at once without sharing a link. Tells how much of the contact time's capacity a
 * client used and how much was sent more than once, from the link's counters.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, createReadStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlRequest } from '../../src/testbed/control.ts';
import type { DaemonStatus } from '../../src/testbed/daemon.ts';
import { testbedPaths } from '../../src/testbed/run-directory.ts';
import { OMNI } from './testbed.ts';

export const DOWN_BIT_PER_SECOND = 512_000;
export const UP_BIT_PER_SECOND = 32_000;
const BIT_ERROR_RATE = 1e-6;
/** IP and TCP headers with timestamps. */
const HEADER_OCTETS = 52;
export const SEGMENT_OCTETS = 1500 - HEADER_OCTETS;
/** Frame Relay and RFC 2427 header, FCS-16, one flag; one stuffed bit in 62. */
const FRAME_BITS = (1500 + 4 + 2 + 1) * 8 * (63 / 62);
/** Of a full segment on the line, what is file. */
const PAYLOAD_SHARE = (SEGMENT_OCTETS * 8) / FRAME_BITS;
/** What one window is here: the link's queue of 20 packets and the one that is being sent. */
export const WINDOW_OCTETS = 21 * SEGMENT_OCTETS;

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** Milliseconds since 1970. */
  readonly endedAt: number;
  readonly passes: number;
  readonly contactSeconds: number;
  /** Octets beyond headers that the link's line took: the file, all that went twice, and commands or replies. */
  readonly sentOctets: number;
}

export class PassTestbed {
  readonly name: string;
  readonly folder: string;
  readonly #passSeconds: number;
  readonly #periodSeconds: number;
  readonly #kept = { run: process.env.OMNI_RUN_DIRECTORY, state: process.env.OMNI_STATE_DIRECTORY };

  constructor(options: { prefix: string; spacecraft: readonly string[]; passSeconds: number; gapSeconds: number }) {
    this.name = `${options.prefix}${process.pid}`;
    this.#passSeconds = options.passSeconds;
    this.#periodSeconds = options.passSeconds + options.gapSeconds;
    this.folder = mkdtempSync(join(tmpdir(), 'omni-ftp-passes-'));
    chmodSync(this.folder, 0o755);
    process.env.OMNI_RUN_DIRECTORY = join(this.folder, 'run');
    process.env.OMNI_STATE_DIRECTORY = join(this.folder, 'state');
    writeFileSync(join(this.folder, 'scenario.yaml'), this.#scenario(options.spacecraft));
    const up = spawnSync(OMNI, ['up', join(this.folder, 'scenario.yaml')], { encoding: 'utf8' });
    if (up.status !== 0) throw new Error(up.stderr);
  }

  /** The folder that a spacecraft serves. */
  files(spacecraft: string): string {
    return join(this.folder, 'state', this.name, spacecraft, 'files');
  }

  /** Made by root, a folder would be closed to the app process. */
  giveToServer(folder: string, spacecraft: string): void {
    const { uid, gid } = statSync(this.files(spacecraft));
    chownSync(folder, uid, gid);
  }

  /** Runs a program on the control centre that moves a file to or from the spacecraft. */
  async run(spacecraft: string, direction: 'up' | 'down', ...words: string[]): Promise<Ran> {
    const begin = await this.#look(spacecraft, direction);
    // Not by `omni exec`: on a busy machine eight of those take seconds of the first pass to start.
    const child = spawn('ip', ['netns', 'exec', `${this.name}-control`, ...words], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: this.folder, OMNI_QUEUE: join(this.folder, 'queue') },
    });
    let out = '';
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    const end = await this.#look(spacecraft, direction);
    const [contactSeconds, passes] = this.#contact(begin.uptime, end.uptime);
    return { code, out, err, endedAt: Date.now(), passes, contactSeconds, sentOctets: end.payload - begin.payload };
  }

  #contact(begin: number, end: number): [seconds: number, passes: number] {
    let used = 0;
    let passes = 0;
    for (let aos = 0; aos < end; aos += this.#periodSeconds) {
      const length = Math.min(end, aos + this.#passSeconds) - Math.max(begin, aos);
      if (length > 0) passes++;
      used += Math.max(0, length);
    }
    return [used, passes];
  }

  close(): void {
    spawnSync(OMNI, ['down', this.name, '--purge']);
    for (const [key, value] of [
      ['OMNI_RUN_DIRECTORY', this.#kept.run],
      ['OMNI_STATE_DIRECTORY', this.#kept.state],
    ] as const) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #look(spacecraft: string, direction: 'up' | 'down'): Promise<{ uptime: number; payload: number }> {
    const { dataPlane } = (await controlRequest(testbedPaths(this.name).controlSocket, 'status')) as DaemonStatus;
    const { counters } = dataPlane.links.find(({ name }) => name === `to-${spacecraft}`)![direction];
    return { uptime: dataPlane.uptimeSeconds, payload: counters.octetsIn! - counters.packetsIn! * HEADER_OCTETS };
  }

  #scenario(spacecraft: readonly string[]): string {
    const nodes = spacecraft.map(
      (node) => `  ${node}: { kind: spacecraft, ftp: { users: [{ name: operator, password: uosat12 }] } }`,
    );
    const links = spacecraft.map(
      (node) => `  to-${node}:
    between: [surrey, ${node}]
    up: { rate: ${UP_BIT_PER_SECOND}, delay: 10ms, ber: ${BIT_ERROR_RATE} }
    down: { rate: ${DOWN_BIT_PER_SECOND}, delay: 10ms, ber: ${BIT_ERROR_RATE} }
    contacts: { period: ${this.#periodSeconds}s, duration: ${this.#passSeconds}s }`,
    );
    return `name: ${this.name}
seed: 11
nodes:
  surrey: { kind: ground-station }
  control: { kind: control-centre }
${nodes.join('\n')}
links:
${links.join('\n')}
networks:
  lan: { nodes: [surrey, control] }
`;
  }
}

/** Share of what the contact seconds could carry. */
export const capacityShare = (octets: number, contactSeconds: number, bitPerSecond: number): number =>
  octets / ((contactSeconds * bitPerSecond * PAYLOAD_SHARE) / 8);

/** Of a file of so many octets, those that bit errors destroy on average, by whole frames. */
export const lostToNoise = (octets: number): number => octets * (1 - (1 - BIT_ERROR_RATE) ** FRAME_BITS);

export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
