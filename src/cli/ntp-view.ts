/**
 * `omni ntp NODE`: what a node's NTP client reports beside what its clock's error truly is, which only a testbed knows.
 * Signs: on the screen + means that the clock is ahead, for the client's word and for the truth alike; JSON keeps NTP's offset
 * (seconds to add, negative when ahead) under its own name.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NtpPoll } from '../node/ntp-polls.ts';
import { controlRequest } from '../testbed/control.ts';
import type { DaemonStatus } from '../testbed/daemon.ts';
import { findNode, readScenario, selectRunningTestbed } from '../testbed/select.ts';
import { EXIT } from './exit-codes.ts';
import { note, printJson, VerbError } from './verb.ts';

export interface NtpViewOptions {
  readonly testbed?: string;
  readonly polls: number;
  readonly follow?: boolean;
  readonly json?: boolean;
}

interface NtpNode {
  readonly client?: {
    readonly server: string;
    readonly enabled: boolean;
    readonly discipline: string;
    readonly reach: string;
    readonly pollSeconds: number;
    readonly stratum: number;
    readonly rootDistanceSeconds?: number;
    readonly counters: Readonly<Record<string, number>>;
    readonly [key: string]: unknown;
  };
  readonly trueErrorSeconds?: number;
  readonly tickSeconds?: number;
  readonly server?: {
    readonly listening: { readonly address: string; readonly port: number };
    readonly counters: Readonly<Record<string, number>>;
  };
  readonly inContact: boolean;
  readonly polls: readonly NtpPoll[];
}

const FOLLOW_MILLISECONDS = 500;

/** Of one node, or of every node of the testbed that has NTP. */
export async function showNtp(name: string | undefined, options: NtpViewOptions): Promise<void> {
  const testbed = await selectRunningTestbed(options.testbed);
  const scenario = readScenario(testbed.paths);
  if (name !== undefined) findNode(scenario, name);
  const nodes = scenario.nodes.filter((n) => n.services.ntp !== undefined && (name === undefined || n.name === name));
  if (nodes.length === 0)
    throw new VerbError(
      EXIT.unavailable,
      name === undefined ? `no node of ${testbed.name} has NTP` : `${name} has no NTP`,
      'Give it ntp: { client: { server: NODE } } or ntp: { server: {} } in the scenario.',
    );
  const ask = async (node: string, after: number): Promise<NtpNode> =>
    (await controlRequest(testbed.paths.controlSocket, 'service', {
      node,
      service: 'ntp',
      method: 'polls',
      params: { after },
    })) as NtpNode;
  if (options.follow)
    return follow(
      nodes.map((n) => n.name),
      ask,
      options,
    );
  const status = (await controlRequest(testbed.paths.controlSocket, 'status')) as DaemonStatus;
  const shown = await Promise.all(
    nodes.map(async ({ name: node }) => {
      const own = await ask(node, 0);
      const links = status.dataPlane.links
        .filter((link) => link.from === node || link.to === node)
        .map((link) => ({ name: link.name, ...link.ntpCorrection }));
      return { node, ...own, polls: own.polls.slice(-options.polls), links };
    }),
  );
  if (options.json) printJson(name === undefined ? shown : shown[0]);
  else process.stdout.write(`${shown.map(describe).join('\n\n')}\n`);
}

/** One line a poll, as it happens, until Ctrl-C. */
async function follow(
  nodes: readonly string[],
  ask: (node: string, after: number) => Promise<NtpNode>,
  options: NtpViewOptions,
): Promise<void> {
  const seen = new Map<string, number>();
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      interrupted = true;
    });
  if (!options.json) process.stdout.write(`${HEADING}\n`);
  while (!interrupted) {
    for (const node of nodes) {
      const first = !seen.has(node);
      const { polls, inContact, trueErrorSeconds } = await ask(node, seen.get(node) ?? 0);
      for (const poll of first ? polls.slice(-options.polls) : polls) {
        if (options.json) process.stdout.write(`${JSON.stringify({ node, ...poll })}\n`);
        else process.stdout.write(`${pollLine(poll)}${nodes.length > 1 ? `  ${node}` : ''}\n`);
      }
      if (first && polls.length === 0)
        note(`${node}: no poll yet, ${inContact ? 'in contact' : 'no contact'}, true error ${ms(trueErrorSeconds)}`);
      seen.set(node, polls.at(-1)?.number ?? seen.get(node) ?? 0);
    }
    await sleep(FOLLOW_MILLISECONDS);
  }
}

type Shown = NtpNode & {
  readonly node: string;
  readonly links: readonly {
    readonly name: string;
    readonly mode: string;
    readonly counters: Readonly<Record<string, number>>;
  }[];
};

function describe({ node, client, server, trueErrorSeconds, tickSeconds, inContact, polls, links }: Shown): string {
  const lines: string[] = [];
  const latest = polls.findLast((poll) => poll.result === 'sample');
  if (client !== undefined) {
    lines.push(
      `${node}: NTP client of ${client.server}, ${client.enabled ? 'on' : 'OFF'}, ${inContact ? 'in contact' : 'no contact'}; discipline ${client.discipline}, stratum ${client.stratum}, reach ${client.reach}, poll ${client.pollSeconds} s`,
      `  clock as the client reports it   ${latest === undefined ? 'no sample yet' : `${ms(-latest.offsetSeconds!)}${age(latest)}`}`,
    );
    if (latest !== undefined && latest.uncorrectedOffsetSeconds !== latest.offsetSeconds)
      lines.push(`  … without the links' correction  ${ms(-latest.uncorrectedOffsetSeconds!)}`);
  } else lines.push(`${node}: no NTP client`);
  if (trueErrorSeconds !== undefined)
    lines.push(
      `  true error, now                  ${ms(trueErrorSeconds)}${tickSeconds ? `, ${(Math.abs(trueErrorSeconds) / tickSeconds).toFixed(1)} ticks of ${tickSeconds * 1000} ms` : ''}`,
    );
  if (client !== undefined) {
    const { frequencyPpm } = client;
    if (typeof frequencyPpm === 'number')
      lines.push(`  frequency correction             ${frequencyPpm.toFixed(3)} ppm`);
    lines.push(`  polls                            ${counts(client.counters) || 'none yet'}`);
  }
  for (const link of links)
    lines.push(
      `  link ${link.name}: correction ${link.mode}${counts(link.counters) === '' ? '' : `, packets ${counts(link.counters)}`}`,
    );
  if (server !== undefined)
    lines.push(
      `  server on ${server.listening.address} port ${server.listening.port}: ${counts(server.counters) || 'nobody asked yet'}`,
    );
  if (polls.length > 0) lines.push('', `  ${HEADING}`, ...polls.map((poll) => `  ${pollLine(poll)}`));
  return lines.join('\n');
}

const COLUMNS = [12, 14, 14, 14, 11, 19] as const;
const HEADING = row(['time (UTC)', 'reported', 'true before', 'true after', 'round trip', 'held up / down', 'verdict']);

function pollLine(poll: NtpPoll): string {
  const time = new Date(poll.atMilliseconds).toISOString().slice(11, 23);
  if (poll.result !== 'sample') return row([time, '', '', '', '', '', `${poll.result} ${poll.reason ?? ''}`]);
  const held = `${ms(poll.requestHeldSeconds, '')} / ${ms(poll.replyHeldSeconds, '')}`;
  const step = poll.steppedSeconds === undefined ? '' : ` ${ms(poll.steppedSeconds)}`;
  return row([
    time,
    ms(-poll.offsetSeconds!),
    ms(poll.trueErrorBeforeSeconds),
    ms(poll.trueErrorSeconds),
    ms(poll.delaySeconds, ''),
    held,
    `${poll.verdict}${step}${poll.reason === undefined ? '' : ` (${poll.reason})`}`,
  ]);
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (COLUMNS[i] === undefined ? cell : cell.padStart(COLUMNS[i])))
    .join('  ')
    .trimEnd();
}

function ms(seconds: number | undefined, plus = '+'): string {
  if (seconds === undefined) return '–';
  return `${seconds < 0 ? '-' : plus}${(Math.abs(seconds) * 1000).toFixed(2)} ms`;
}

function age({ atMilliseconds }: NtpPoll): string {
  const seconds = (Date.now() - atMilliseconds) / 1000;
  return seconds > 2 ? `, ${seconds.toFixed(0)} s ago` : '';
}

const counts = (counters: Readonly<Record<string, number>>): string =>
  Object.entries(counters)
    .filter(([, n]) => n > 0)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');
