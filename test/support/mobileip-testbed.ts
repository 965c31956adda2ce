/** Scenarios made from netns/scenarios/candos.yaml with other contacts and rates, and a probe that measures gaps in service. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

export interface Variant {
  readonly name: string;
  /** Seconds: from one station's AOS to the next station's, and how long each contact lasts. */
  readonly everySeconds: number;
  readonly lastsSeconds: number;
  /** The first AOS. */
  readonly firstSeconds?: number;
  readonly up: string;
  readonly down: string;
  readonly mobileNode?: object;
  readonly foreignAgent?: object;
}

interface Scenario {
  name: string;
  nodes: Record<string, Record<string, unknown>>;
  links: Record<string, Record<string, unknown>>;
}

const STATIONS = ['dryden', 'merritt', 'wallops'];

/** Writes the scenario and returns its file. */
export function writeVariant(file: string, variant: Variant): string {
  const source = fileURLToPath(new URL('../../netns/scenarios/candos.yaml', import.meta.url));
  const scenario = parse(readFileSync(source, 'utf8')) as Scenario;
  scenario.name = variant.name;
  const first = variant.firstSeconds ?? 0;
  for (const [i, station] of STATIONS.entries()) {
    scenario.links[`space-${station}`] = {
      between: [station, 'spacecraft'],
      up: { rate: variant.up, delay: '5ms' },
      down: { rate: variant.down, delay: '5ms' },
      contacts: {
        period: `${STATIONS.length * variant.everySeconds}s`,
        duration: `${variant.lastsSeconds}s`,
        first: `${first + i * variant.everySeconds}s`,
      },
    };
    const agent = scenario.nodes[station]!;
    agent.foreignAgent = { ...(agent.foreignAgent as object), ...variant.foreignAgent };
  }
  const spacecraft = scenario.nodes.spacecraft!;
  spacecraft.mobileNode = { ...(spacecraft.mobileNode as object), ...variant.mobileNode };
  writeFileSync(file, stringify(scenario, { aliasDuplicateObjects: false }));
  return file;
}

const SENDER = `
const socket = require('node:dgram').createSocket('udp4');
const [host, every, octets] = process.argv.slice(1);
let n = 0;
const start = process.hrtime.bigint();
setInterval(() => {
  while (Number(process.hrtime.bigint() - start) / 1e6 >= n * Number(every)) {
    const payload = Buffer.alloc(Number(octets));
    payload.writeUInt32BE(n++);
    socket.send(payload, 9009, host, () => {});
  }
}, 1);`;
const RECEIVER = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (m) => process.stdout.write(m.readUInt32BE() + ' ' + process.hrtime.bigint() + '\\n'));
socket.bind(9009, () => process.stdout.write('ready\\n'));`;

/** Numbered datagrams between two namespaces; both ends read the same monotonic clock. */
export class Probe {
  readonly #receiver: ChildProcess;
  readonly #sender: ChildProcess;
  readonly arrivals: { number: number; at: bigint }[] = [];

  private constructor(receiver: ChildProcess, sender: ChildProcess) {
    this.#receiver = receiver;
    this.#sender = sender;
  }

  static async start(from: string, to: string, host: string, everyMs: number, octets = 8): Promise<Probe> {
    const run = (namespace: string, code: string, args: readonly string[]) =>
      spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', code, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const receiver = run(to, RECEIVER, []);
    await new Promise((resolve) => receiver.stdout!.once('data', resolve));
    const probe = new Probe(receiver, run(from, SENDER, [host, String(everyMs), String(octets)]));
    let rest = '';
    receiver.stdout!.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const [number, at] = line.split(' ');
        if (at !== undefined) probe.arrivals.push({ number: Number(number), at: BigInt(at) });
      }
    });
    return probe;
  }

  stop(): void {
    this.#sender.kill();
    this.#receiver.kill();
  }

  /** Datagrams between the first and the last that arrived that did not. */
  get lost(): number {
    const numbers = this.arrivals.map(({ number }) => number);
    return numbers.length === 0 ? 0 : Math.max(...numbers) - Math.min(...numbers) + 1 - new Set(numbers).size;
  }

  /** Milliseconds between arrivals, the longest first. */
  gaps(): number[] {
    return this.arrivals
      .slice(1)
      .map(({ at }, i) => Number(at - this.arrivals[i]!.at) / 1e6)
      .sort((a, b) => b - a);
  }
}
