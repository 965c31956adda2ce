/**
 * Delivery starts within a second of AOS on a slow link, also after a contact that cut a message and after a relay that was killed in it:
 * at 9,600 bit/s each full packet that still stood in a queue would take a second and a quarter of the next contact. Seen on the
 * line: the session's MAIL and its first message data, both ways at once. With OMNI_HEAVY=1 over 12 contacts of 20 s, with numbers.
 */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { PcapngDecoder } from '../../src/io/pcapng.ts';
import { noTestbeds, onPath, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds() ?? (onPath('curl') ? undefined : 'needs curl');
if (reason !== undefined) console.log(`skipped: mail at the begin of a contact: ${reason}`);
const heavy = process.env.OMNI_HEAVY === '1';
if (reason === undefined && !heavy) console.log('skipped: mail at the begin of 12 contacts: needs OMNI_HEAVY=1');

const RATE = 9600;
const DELAY_SECONDS = 0.01;
const NODES = { surrey: [10, 96, 0, 2], spacecraft: [10, 96, 0, 1] } as const;
type Node = keyof typeof NODES;
const OTHER: Record<Node, Node> = { surrey: 'spacecraft', spacecraft: 'surrey' };
/** Of what an SMTP session needs until its MAIL leaves: SYN, SYN and ACK, ACK, 220, EHLO, 250; until its data: MAIL, 354. */
const CROSSINGS = { mail: 6, data: 8 };

interface Contact {
  readonly aos: number;
  readonly los: number;
}

interface Start {
  readonly node: Node;
  /** Seconds from AOS until it began to leave. */
  readonly mail: number;
  readonly data: number;
}

/** Frames on the line with mail from one node to the other's port 25: when their transmission began, and what they carry. */
function mailFrames(capture: string, node: Node): { at: number; text: string }[] {
  const frames: { at: number; text: string }[] = [];
  for (const { at, octets } of new PcapngDecoder().push(readFileSync(capture))) {
    // Frame Relay and RFC 2427 headers have four octets.
    const ip = octets.subarray(4);
    const source = ip.subarray(12, 16);
    if (ip[0] !== 0x45 || ip[9] !== 6 || !NODES[node].every((octet, i) => source[i] === octet)) continue;
    const tcp = ip.subarray(20, (ip[2]! << 8) | ip[3]!);
    if (((tcp[2]! << 8) | tcp[3]!) !== 25) continue;
    const text = Buffer.from(tcp.subarray(4 * (tcp[12]! >> 4))).toString('latin1');
    if (text !== '') frames.push({ at: Number(at) / 1e9, text });
  }
  return frames;
}

function startsOf(capture: string, contacts: readonly Contact[]): Start[] {
  return (Object.keys(NODES) as Node[]).flatMap((node) => {
    const frames = mailFrames(capture, node);
    return contacts.map(({ aos, los }): Start => {
      const mail = frames.findIndex(({ at, text }) => at >= aos - 0.1 && at < los && text.startsWith('MAIL FROM'));
      // What was left of the session before is data without a MAIL before it.
      const data = mail < 0 ? undefined : frames[mail + 1];
      return {
        node,
        mail: mail < 0 ? Number.POSITIVE_INFINITY : frames[mail]!.at - aos,
        data: data === undefined || data.at >= los ? Number.POSITIVE_INFINITY : data.at - aos,
      };
    });
  });
}

interface Passes {
  readonly prefix: string;
  readonly periodSeconds: number;
  readonly passSeconds: number;
  readonly count: number;
  /** Of the last contact only its begin counts. */
  readonly lastSeconds: number;
  /** In these contacts a node's relay is killed so long before LOS. */
  readonly kills: readonly { contact: number; node: Node; beforeLos: number }[];
}

async function run(sandbox: TestbedSandbox, passes: Passes): Promise<Start[]> {
  const name = sandbox.prefix;
  const address = (node: Node) => NODES[node].join('.');
  const node = (of: Node, kind: string) =>
    `  ${of}: { kind: ${kind}, address: ${address(of)}, smtp: { relayFor: [127.0.0.0/8, 10.96.0.0/24], routes: [{ domain: '*', host: ${OTHER[of]}, tls: never }] } }`;
  const side = `{ rate: ${RATE}, delay: ${1000 * DELAY_SECONDS}ms }`;
  const scenario = join(sandbox.directory, 'start.yaml');
  writeFileSync(
    scenario,
    `name: ${name}
nodes:
${node('spacecraft', 'spacecraft')}
${node('surrey', 'ground-station')}
links:
  space: { between: [surrey, spacecraft], up: ${side}, down: ${side}, contacts: { period: ${passes.periodSeconds}s, duration: ${passes.passSeconds}s, first: 2s } }
`,
  );
  expect(await sandbox.run('up', scenario)).toMatchObject({ code: 0 });
  const capture = join(sandbox.directory, 'start.pcapng');
  const capturing = sandbox.start(['capture', 'space', '--tap', 'frame-sent', '-w', capture]);
  const { stdout } = await sandbox.run('contacts', '--count', String(passes.count), '--json');
  const planned = JSON.parse(stdout) as { passes: { aos: string; los: string }[] };
  const contacts = planned.passes.map(({ aos, los }) => ({ aos: Date.parse(aos) / 1000, los: Date.parse(los) / 1000 }));
  // More than all contacts can carry, so that each of them cuts it.
  const letter = join(sandbox.directory, 'letter.eml');
  const lines = Math.ceil((passes.count * passes.passSeconds * RATE) / 8 / 70);
  writeFileSync(letter, `Subject: long\r\n\r\n${`${'quick brown fox '.repeat(4)}\r\n`.repeat(lines)}`);
  for (const from of Object.keys(NODES) as Node[]) {
    const curl = ['curl', '-sS', '--url', 'smtp://127.0.0.1/me', '--mail-from', `me@${from}`];
    const words = ['netns', 'exec', `${name}-${from}`, ...curl, '--mail-rcpt', `box@${OTHER[from]}`, '-T', letter];
    expect(spawnSync('ip', words, { encoding: 'utf8' })).toMatchObject({ status: 0 });
  }
  const until = (at: number) => new Promise((resolve) => setTimeout(resolve, 1000 * at - Date.now()));
  for (const { contact, node: of, beforeLos } of passes.kills) {
    await until(contacts[contact]!.los - beforeLos);
    const { stdout: pids } = spawnSync('ip', ['netns', 'pids', `${name}-${of}`], { encoding: 'utf8' });
    for (const pid of pids.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
  }
  await until(contacts.at(-1)!.aos + passes.lastSeconds);
  capturing.kill('SIGINT');
  await once(capturing, 'close');
  return startsOf(capture, contacts);
}

const spread = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, worst: sorted.at(-1)! };
};

describe.skipIf(reason !== undefined)('mail at the begin of a contact at 9,600 bit/s', () => {
  let sandbox: TestbedSandbox;
  afterEach(() => sandbox.close());

  test('a message cut by LOS goes on within a second of AOS, both ways, also after a kill -9 of its relay', async () => {
    sandbox = new TestbedSandbox('oms');
    const kills = [{ contact: 1, node: 'surrey', beforeLos: 1 }] as const;
    const starts = await run(sandbox, {
      prefix: 'oms',
      periodSeconds: 5,
      passSeconds: 4,
      count: 3,
      lastSeconds: 1.5,
      kills,
    });
    expect(starts).toHaveLength(6);
    const mail = starts.map((start) => start.mail - CROSSINGS.mail * DELAY_SECONDS);
    const data = starts.map((start) => start.data - CROSSINGS.data * DELAY_SECONDS);
    expect(Math.max(...mail)).toBeLessThan(1);
    expect(Math.max(...data)).toBeLessThan(1.25);
  }, 120_000);

  test.skipIf(!heavy)(
    'over 12 contacts of 20 s, with a kill -9 in four of them',
    async () => {
      sandbox = new TestbedSandbox('omt');
      const kills = [
        { contact: 3, node: 'surrey', beforeLos: 1 },
        { contact: 5, node: 'spacecraft', beforeLos: 10 },
        { contact: 7, node: 'surrey', beforeLos: 0.2 },
        { contact: 9, node: 'spacecraft', beforeLos: 3 },
      ] as const;
      const starts = await run(sandbox, {
        prefix: 'omt',
        periodSeconds: 25,
        passSeconds: 20,
        count: 12,
        lastSeconds: 5,
        kills,
      });
      // A relay killed while its queue was full leaves packets for the next contact, and what its successor and its peer ask of each other.
      const killed = new Set<number>(kills.map(({ contact }) => contact + 1));
      for (const node of Object.keys(NODES) as Node[]) {
        const mine = starts.filter((s) => s.node === node);
        const undisturbed = mine.filter((_, contact) => !killed.has(contact));
        const after = kills.map(({ contact, beforeLos }) => [beforeLos, mine[contact + 1]!.mail] as const);
        const [mail, data] = [spread(undisturbed.map((s) => s.mail)), spread(undisturbed.map((s) => s.data))];
        const times = ({ median, worst }: typeof mail) => `${median.toFixed(2)} s (worst ${worst.toFixed(2)})`;
        console.log(`${node}, ${undisturbed.length} contacts: MAIL after ${times(mail)}, data after ${times(data)}`);
        for (const [beforeLos, seconds] of after)
          console.log(`  a relay killed ${beforeLos} s before the end: next MAIL after ${seconds.toFixed(2)} s`);
        expect(mail.worst - CROSSINGS.mail * DELAY_SECONDS).toBeLessThan(1);
        expect(data.median - CROSSINGS.data * DELAY_SECONDS).toBeLessThan(1);
        expect(Math.max(...after.map(([, seconds]) => seconds))).toBeLessThan(3);
      }
    },
    900_000,
  );
});
