// Scapy's Mobile IP layer against our agents, directly and through a foreign agent, and tshark over a capture of a run: implementations
// that are not ours read and write it. One testbed: the spacecraft is handed over every two seconds, and beside it a second one,
// which is scapy, has a link to dryden all the time.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { controlRequest } from '../../src/testbed/control.ts';
import { writeVariant } from '../support/mobileip-testbed.ts';
import { noTestbeds, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';

const PYTHON = '/usr/bin/python3';
const withoutScapy = () => spawnSync(PYTHON, ['-c', 'from scapy.layers.mobileip import MobileIPRRQ']).status !== 0;
const reason =
  noTestbeds() ??
  (!existsSync(PYTHON) || withoutScapy() ? 'needs python3-scapy' : onPath('tshark') ? undefined : 'needs tshark');
if (reason !== undefined) console.log(`skipped: Mobile IP with scapy and tshark: ${reason}`);

const KEY = '0f0e0d0c0b0a09080706050403020100';
const HOME = '10.9.0.77';
const STATION = { agent: '10.8.0.3', careOfAddress: '10.3.0.2' };
/** Octets of a request, 46 with its authenticator: type, flags, lifetime, home address, home agent, care-of address, identification. */
const OCTET = { homeAddress: 4, homeAgent: 8, careOfAddress: 12, identification: 16, authenticator: 24 };
const SILENCE_SECONDS = 0.3;

interface Case {
  readonly lifetime?: number;
  readonly agent?: string;
  readonly home?: string;
  readonly careof?: string;
  readonly flags?: number;
  readonly ttl?: number;
  /** Seconds that the clock is ahead. */
  readonly ahead?: number;
  readonly forged?: boolean;
  /** The octets of the case before, again. */
  readonly repeat?: boolean;
  /** A bit, counted from the first. */
  readonly flip?: number;
  /** Only so many octets are sent. */
  readonly cut?: number;
  /** Seconds for an answer, 3 by default; and before it is sent. */
  readonly wait?: number;
  readonly after?: number;
}
interface Answer {
  readonly type: number;
  readonly code: number;
  readonly lifetime: number;
  readonly low: boolean;
  readonly authentic: boolean | null;
}

/** argv: destination, source, source port, key, SPI, JSON list of cases. Prints one JSON line a case. */
const REGISTER = `
import sys, json, hmac, hashlib, socket, struct, time
from scapy.layers.mobileip import MobileIP, MobileIPRRQ, MobileIPRRP
destination, source, port, key, spi, cases = sys.argv[1:]
key = bytes.fromhex(key)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, int(port)))
last = b''
for case in json.loads(cases):
    time.sleep(case.get('after', 0))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, case.get('ttl', 255))
    now = time.time() + case.get('ahead', 0)
    ident = (int(now) + 2208988800) << 32 | int((now % 1) * 2**32)
    rrq = MobileIP(type=1) / MobileIPRRQ(flags=case.get('flags', 0x02), lifetime=case.get('lifetime', 60),
        homeaddr=case['home'], haaddr=case.get('agent', '10.0.0.1'), coaddr=case['careof'], id=ident)
    body = bytes(rrq) + bytes([32, 20]) + struct.pack('!I', int(spi))
    digest = hmac.new(b'x' * 16 if case.get('forged') else key, body, hashlib.md5).digest()
    message = body + digest
    if case.get('repeat'): message = last
    last = message
    if 'flip' in case:
        b = bytearray(message); b[case['flip'] // 8] ^= 1 << (case['flip'] % 8); message = bytes(b)
    if 'cut' in case: message = message[:case['cut']]
    low = message[20:24]
    s.sendto(message, (destination, 434))
    until = time.monotonic() + case.get('wait', 3)
    result = None
    while result is None and until > time.monotonic():
        s.settimeout(max(0.001, until - time.monotonic()))
        try:
            answer, _ = s.recvfrom(2048)
        except (socket.timeout, BlockingIOError):
            break
        reply = MobileIP(answer)
        rrp = reply[MobileIPRRP]
        # A late answer to a case before is not this one's.
        if low and struct.pack('!I', rrp.id & 0xffffffff) != low: continue
        ext = bytes(rrp.payload)
        authentic = hmac.new(key, answer[:len(answer) - len(ext) + 6], hashlib.md5).digest() == ext[6:22] if ext[:1] == b' ' else None
        result = {'type': reply.type, 'code': rrp.code, 'lifetime': rrp.lifetime, 'low': True, 'authentic': authentic}
    print(json.dumps(result), flush=True)
`;

describe.skipIf(reason !== undefined)('Mobile IP', () => {
  const sandbox = new TestbedSandbox('omi');
  const name = sandbox.prefix;
  const socket = join(sandbox.environment.OMNI_RUN_DIRECTORY!, name, 'control.sock');
  afterAll(() => sandbox.close());
  beforeAll(async () => {
    const file = writeVariant(join(sandbox.directory, 'interop.yaml'), {
      name,
      everySeconds: 2,
      lastsSeconds: 2.5,
      up: '64k',
      down: '128k',
      mobileNode: { discovery: 'solicit' },
    });
    const scenario = parse(readFileSync(file, 'utf8'));
    scenario.nodes.goddard.homeAgent.mobileNodes.push({ homeAddress: HOME, security: [{ spi: 3000, key: KEY }] });
    scenario.nodes.scapy = { kind: 'spacecraft', address: HOME, routes: [{ to: 'default', via: 'space-scapy' }] };
    scenario.links['space-scapy'] = {
      between: ['dryden', 'scapy'],
      up: { rate: '128k', delay: '5ms' },
      down: { rate: '128k', delay: '5ms' },
    };
    writeFileSync(file, stringify(scenario, { aliasDuplicateObjects: false }));
    const up = await sandbox.run('up', file);
    expect(up.code, up.stderr).toBe(0);
  });

  const inside = (node: string, args: readonly string[]): ChildProcess =>
    spawn('ip', ['netns', 'exec', `${name}-${node}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const apps = async () =>
    (
      (await controlRequest(socket, 'status', {})) as {
        apps: { node: string; pid: number; restarts: number; services: Record<string, { bindings: object[] }> }[];
      }
    ).apps;
  const bound = async (): Promise<object[]> => {
    const all = (await apps()).flatMap(({ services }) => services.homeAgent?.bindings ?? []);
    return all.filter((binding) => (binding as { homeAddress: string }).homeAddress === HOME);
  };

  async function register(
    node: string,
    to: string,
    from: string,
    port: number,
    cases: readonly Case[],
  ): Promise<(Answer | null)[]> {
    const args = [PYTHON, '-c', REGISTER, to, from, String(port), KEY, '3000', JSON.stringify(cases)];
    const done = await outcome(inside(node, args));
    expect(done.code, done.stderr).toBe(0);
    return done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }
  const codesOf = (answers: readonly (Answer | null)[]) => answers.map((answer) => answer?.code ?? null);

  const coLocated = { home: HOME, careof: '192.168.9.2', flags: 0x22 };
  const atHomeAgent = (port: number, cases: readonly Case[]) =>
    register('control', '10.0.0.1', '192.168.9.2', port, cases);
  const silent = { wait: SILENCE_SECONDS };

  test('scapy registers a co-located care-of address with the home agent; forged, replayed, stale, cut and flipped requests do not', async () => {
    const answers = await atHomeAgent(4434, [
      coLocated,
      { ...coLocated, repeat: true },
      { ...coLocated, forged: true },
      { ...coLocated, ahead: -20 },
      { ...coLocated, ahead: 20 },
      { ...coLocated, ...silent, cut: 30 },
      // Nobody we know.
      { ...coLocated, ...silent, flip: 8 * OCTET.homeAddress + 17 },
      { ...coLocated, flags: 0x2a },
      { ...coLocated, flags: 0x23 },
      { ...coLocated, agent: '10.9.0.255' },
      { ...coLocated, ...silent, home: '10.9.0.78' },
      { ...coLocated, lifetime: 0, careof: HOME },
    ]);
    expect(codesOf(answers)).toEqual([0, 133, 131, 133, 133, null, null, 139, 134, 136, null, 0]);
    for (const answer of answers)
      if (answer !== null) expect(answer).toMatchObject({ type: 3, low: true, authentic: true });
    expect(answers[0]!.lifetime).toBe(60);
  });

  /** One bit in each third octet, and a cut behind each fourth. */
  const flips = (base: Case): Case[] =>
    Array.from({ length: 15 }, (_, i) => ({ ...base, ...silent, flip: 8 * (3 * i + 1) + (i % 8) }));
  const cuts = (base: Case): Case[] => Array.from({ length: 11 }, (_, i) => ({ ...base, ...silent, cut: 4 * i + 4 }));

  test('at the home agent, a bit flipped anywhere or a message cut anywhere: 131 or silence, never a binding', async () => {
    const all = [...flips(coLocated), ...cuts(coLocated)];
    // At once, from ports of their own: most of it is waiting. It answers ten strangers a second.
    const parts = Array.from({ length: 4 }, (_, i) => all.filter((_, j) => j % 4 === i));
    const answers = await Promise.all(parts.map((cases, i) => atHomeAgent(4500 + i, cases)));
    for (const [i, part] of parts.entries())
      for (const [j, each] of part.entries())
        expect(each.cut === undefined ? [null, 131] : [null], JSON.stringify(each)).toContain(codesOf(answers[i]!)[j]);
    expect(await bound()).toEqual([]);
  });

  const visiting = { home: HOME, careof: STATION.careOfAddress };
  const atStation = (port: number, cases: readonly Case[]) => register('scapy', STATION.agent, HOME, port, cases);
  /** What a foreign agent says itself it says once a second. */
  const spaced = { after: 1.05 };

  test('scapy registers through a foreign agent, which relays what the home agent thinks of forged, replayed and stale requests', async () => {
    const answers = await atStation(5434, [
      visiting,
      { ...visiting, repeat: true },
      { ...visiting, forged: true },
      { ...visiting, ahead: -20 },
      { ...visiting, ahead: 20 },
    ]);
    expect(codesOf(answers)).toEqual([0, 133, 131, 133, 133]);
    for (const answer of answers) expect(answer).toMatchObject({ type: 3, low: true, authentic: true });
    expect(await bound()).toMatchObject([{ careOfAddress: STATION.careOfAddress }]);
    const ping = await outcome(inside('control', ['ping', '-c', '2', '-i', '0.2', '-W', '2', HOME]));
    expect(ping.stdout).toContain(' 0% packet loss');
    expect(codesOf(await atStation(5434, [{ ...visiting, lifetime: 0 }]))).toEqual([0]);
  });

  test('a foreign agent judges for itself: TTL, care-of address, lifetime, encapsulation, reserved bits, a message that is cut', async () => {
    const answers = await atStation(5435, [
      { ...visiting, ttl: 64 },
      { ...visiting, ...spaced, careof: '10.77.0.1' },
      { ...visiting, ...spaced, lifetime: 40_000 },
      { ...visiting, ...spaced, flags: 0x0a },
      { ...visiting, ...spaced, flags: 0x03 },
      // The authenticator is cut: all of it, or a part.
      { ...visiting, ...spaced, cut: OCTET.authenticator },
      { ...visiting, ...spaced, cut: OCTET.authenticator + 10 },
      { ...visiting, ...silent, cut: OCTET.authenticator - 1 },
    ]);
    expect(codesOf(answers)).toEqual([76, 77, 69, 72, 70, 70, 70, null]);
    expect(await bound()).toEqual([]);
  });

  test('through a foreign agent, a bit flipped anywhere or a message cut anywhere never makes a binding', async () => {
    const all = [...flips(visiting), ...cuts(visiting)];
    const parts = Array.from({ length: 4 }, (_, i) => all.filter((_, j) => j % 4 === i));
    const answers = await Promise.all(parts.map((cases, i) => atStation(5500 + i, cases)));
    const codes = answers.flatMap(codesOf);
    // 131 of the home agent; 64 to 88 of the foreign agent, which cannot read it, may not, or finds no such home agent.
    for (const code of codes) expect(code === null || code === 131 || (code >= 64 && code < 89), `${code}`).toBe(true);
    expect(codes).toContain(131);
    expect(await bound()).toEqual([]);
  });

  test('tshark decodes every message and tunnelled packet of a run, nothing malformed, and nothing else goes up', async () => {
    const captures = [
      ['goddard', 'internet'],
      ['spacecraft', 'space0'],
      ['dryden', 'space0'],
    ].map(([node, device]) => {
      const file = join(sandbox.directory, `${node}.pcap`);
      const child = inside(node!, ['tshark', '-q', '-i', device!, '-a', 'duration:6', '-w', file]);
      const done = outcome(child);
      let over = false;
      child.once('close', () => {
        over = true;
      });
      return { file, begun: () => over || (existsSync(file) && statSync(file).size > 0), done };
    });
    // What tshark says first it says half a second before it captures; the file's header is there when it does.
    while (!captures.every(({ begun }) => begun())) await new Promise((resolve) => setTimeout(resolve, 20));
    const ping = inside('control', ['ping', '-i', '0.2', '-c', '25', '10.9.0.5']);
    // A station that starts again says so by an advertisement, and by nothing else.
    const station = (await apps()).find(({ node }) => node === 'dryden')!;
    expect(readFileSync(`/proc/${station.pid}/environ`, 'latin1')).toContain(sandbox.environment.OMNI_RUN_DIRECTORY!);
    process.kill(station.pid, 'SIGKILL');
    await Promise.all([outcome(ping), ...captures.map(({ done }) => done)]);
    const [home, space, dryden] = captures.map(({ file }) => decoded(file));
    const count = (packets: readonly Packet[], wanted: Partial<Packet>) =>
      packets.filter((packet) => Object.entries(wanted).every(([key, value]) => packet[key as keyof Packet] === value))
        .length;
    const counts = {
      requests: count(space!, { mip: '1' }),
      replies: count(space!, { mip: '3', code: '0' }),
      advertisements: count(space!, { icmp: '9', extension: '16' }),
      solicitations: count(space!, { icmp: '10' }),
      revocations: count(home!, { mip: '7' }),
      acknowledgements: count(home!, { mip: '15' }),
      tunnelled: home!.filter(({ protocols }) => protocols.includes('ip:ip:icmp')).length,
      afterRestart: count(dryden!, { icmp: '9', sequence: '0' }),
    };
    console.log(JSON.stringify(counts));
    for (const [what, n] of Object.entries(counts)) expect(n, what).toBeGreaterThan(0);
    expect([...home!, ...space!, ...dryden!].filter(({ fault }) => fault)).toEqual([]);
    const others = [...space!, ...dryden!].filter(({ protocols }) => !/:(icmp|mip)(:|$)/.test(protocols));
    expect(others).toEqual([]);
    expect((await sandbox.run('down', name)).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });
});

interface Packet {
  readonly protocols: string;
  readonly mip: string;
  readonly code: string;
  readonly icmp: string;
  readonly extension: string;
  readonly sequence: string;
  readonly fault: boolean;
}

/** What tshark makes of a capture. */
function decoded(file: string): Packet[] {
  const fields = ['frame.protocols', 'mip.type', 'mip.code', 'icmp.type', 'icmp.mip.type', 'icmp.mip.seq'];
  // Not UDP's checksum: between namespaces the kernel leaves it to a device that would compute it.
  const faults = ['_ws.malformed', 'ip.checksum.status', 'icmp.checksum.status'];
  const options = ['-o', 'ip.check_checksum:TRUE'];
  const names = [...fields, ...faults].flatMap((field) => ['-e', field]);
  const args = ['-r', file, ...options, '-T', 'fields', '-E', 'separator=;', ...names];
  const { stdout, stderr, status } = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [protocols, mip, code, icmp, extension, sequence, malformed, ...checksums] = line.split(';') as string[];
      // 0 is bad, 1 is good, 2 was not looked at.
      const bad = checksums.some((status) => status.split(',').includes('0'));
      const fault = malformed !== '' || bad;
      return { protocols, mip, code, icmp, extension, sequence, fault } as Packet;
    });
}
