/** `omni mailq`: what waits in a relay's queue, why, and when it will have been delivered. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { QueueLine } from '../../apps/smtp/index.ts';
import { controlPath } from '../../io/mail-control.ts';
import { listStoredQueue } from '../../io/mail-offline.ts';
import { controlRequest } from '../../testbed/control.ts';
import { findNode, readScenario, selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface Options {
  readonly queue?: string;
  readonly testbed?: string;
  readonly json?: boolean;
}

const CHANGES = ['hold', 'release', 'cancel', 'try'];

export function command(): Command {
  return verb('mailq', 'Show a mail queue: destination, size, priority, next contact, predicted delivery, reason.', [
    'omni mailq                              # every relay of the testbed that is up',
    'omni mailq spacecraft --json',
    'omni mailq --queue ./queue              # a relay that runs alone, or the files it left',
    'omni mailq hold 0mbk2x9qa-5f1c0d2e3a    # also: release ID, cancel ID, try',
  ])
    .argument('[words...]', 'a node; or hold, release, cancel and a message’s id; or try: deliver now')
    .option('--queue <folder>', 'the queue of `omni serve smtp`')
    .option('--testbed <name>', 'which testbed, when several are up')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(words: string[], options: Options): Promise<void> {
  const change = CHANGES.includes(words[0] ?? '') ? words.shift() : undefined;
  const id = change !== undefined && change !== 'try' ? words.shift() : undefined;
  if (change !== undefined && change !== 'try' && id === undefined)
    throw new VerbError(EXIT.usage, `${change} needs the id of a message`, "'omni mailq' lists them.");
  const sources = options.queue === undefined ? await testbedQueues(words[0], options.testbed) : [alone(options.queue)];
  if (change !== undefined) return makeChange(sources, change, id);
  const answers = [];
  for (const source of sources) answers.push({ relay: source.name, ...(await source.list()) });
  if (options.json) printJson(answers);
  else for (const { relay, queue } of answers) process.stdout.write(render(relay, queue));
}

interface Source {
  readonly name: string;
  list(): Promise<{ queue: readonly QueueLine[] }>;
  ask(method: string, params: object): Promise<unknown>;
}

function alone(folder: string): Source {
  const queue = resolve(folder);
  const path = controlPath(queue);
  const running = existsSync(path);
  return {
    name: queue,
    list: async () => {
      if (running) {
        try {
          return { queue: await wholeList((page) => controlRequest(path, 'list', page)) };
        } catch {
          // It was killed: the files are what is left.
        }
      }
      note('omni: the relay does not run; this is what its files say, without predictions');
      return { queue: await listStoredQueue(queue) };
    },
    ask: async (method, params) => {
      if (!running)
        throw new VerbError(EXIT.temporary, `no relay runs over ${queue}`, 'Start it with omni serve smtp --queue.');
      return controlRequest(path, method, params);
    },
  };
}

const PAGE = 1000;

async function wholeList(ask: (page: object) => Promise<unknown>): Promise<QueueLine[]> {
  const lines = new Map<string, QueueLine>();
  for (let skip = 0; ; skip += PAGE) {
    const { queue } = (await ask({ skip, count: PAGE })) as { queue: QueueLine[] };
    for (const line of queue) lines.set(`${line.id} ${line.hop}`, line);
    if (queue.length < PAGE) return [...lines.values()];
  }
}

async function testbedQueues(node: string | undefined, testbed: string | undefined): Promise<Source[]> {
  const { paths } = await selectRunningTestbed(testbed);
  const scenario = readScenario(paths);
  if (node !== undefined) findNode(scenario, node);
  const relays = scenario.nodes.filter((n) => 'smtp' in n.services && (node === undefined || n.name === node));
  if (relays.length === 0)
    throw new VerbError(
      EXIT.failure,
      node === undefined ? 'no node of the testbed relays mail' : `${node} relays no mail`,
    );
  return relays.map((relay) => {
    const ask = (method: string, params: object) =>
      controlRequest(paths.controlSocket, 'service', { node: relay.name, service: 'smtp', method, params });
    const list = async () => ({ queue: await wholeList((page) => ask('list', page)) });
    return { name: relay.name, list, ask };
  });
}

async function makeChange(sources: readonly Source[], change: string, id: string | undefined): Promise<void> {
  let done = false;
  let reason: unknown;
  for (const source of sources) {
    try {
      await source.ask(change, { id });
      done = true;
    } catch (error) {
      reason = error;
    }
  }
  if (!done) throw reason;
  note(`omni: ${change}${id === undefined ? '' : ` ${id}`}: done`);
}

const COLUMNS = ['ID', 'TO', 'SIZE', 'PRI', 'TRIES', 'NEXT CONTACT', 'DELIVERED', 'REASON'] as const;

export function render(relay: string, queue: readonly QueueLine[]): string {
  if (queue.length === 0) return `${relay}: the queue is empty\n`;
  const rows = queue.map((line) => [
    line.id,
    line.recipients.length === 1 ? line.recipients[0]! : `${line.recipients[0]} +${line.recipients.length - 1}`,
    line.storedOctets > 0
      ? `${size(line.octets)} (${Math.round((100 * line.storedOctets) / line.octets)} % there)`
      : size(line.octets),
    String(line.priority),
    String(line.tries),
    line.nextContact === undefined ? '-' : clock(line.nextContact.begin),
    line.predicted === undefined ? '-' : `${clock(line.predicted.earliest)} … ${clock(line.predicted.latest)}`,
    line.reason,
  ]);
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const text = [COLUMNS as readonly string[], ...rows]
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '))
    .join('\n');
  const octets = queue.reduce((sum, line) => sum + line.octets, 0);
  return `${relay}: ${queue.length} waiting, ${size(octets)}\n${text}\n`;
}

const clock = (iso: string): string => iso.slice(5, 19).replace('T', ' ');

function size(octets: number): string {
  if (octets < 10_000) return `${octets} B`;
  if (octets < 10_000_000) return `${Math.round(octets / 1000)} kB`;
  return `${Math.round(octets / 1e6)} MB`;
}
