// Scapy's Mobile IP layer against our agents, and tshark over a capture of everything: an implementation that is not ours reads and writes it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { writeVariant } from '../support/mobileip-testbed.ts';
import { noTestbeds, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';

const PYTHON = '/usr/bin/python3';
const withoutScapy = () => spawnSync(PYTHON, ['-c', 'from scapy.layers.mobileip import MobileIPRRQ']).status !== 0;
const reason =
  noTestbeds() ??
  (!existsSync(PYTHON) || withoutScapy() ? 'needs python3-scapy' : onPath('tshark') ? undefined : 'needs tshark');
if (reason !== undefined) console.log(`skipped: Mobile IP with scapy and tshark: ${reason}`);

const KEY = '0f0e0d0c0b0a09080706050403020100';

/** argv: destination, source, source port, TTL, key, SPI, JSON list of cases. Prints one JSON line a case. */
const REGISTER = `
import sys, json, hmac, hashlib, socket, struct, time
from scapy.layers.mobileip import MobileIP, MobileIPRRQ, MobileIPRRP
destination, source, port, ttl, key, spi, cases = sys.argv[1:]
key = bytes.fromhex(key)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, int(port)))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(ttl))
last = b''
for case in json.loads(cases):
    s.settimeout(case.get('wait', 2))
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
    s.sendto(message, (destination, 434))
    try:
        answer, _ = s.recvfrom(2048)
    except socket.timeout:
        print(json.dumps(None), flush=True); continue
    reply = MobileIP(answer)
    rrp = reply[MobileIPRRP]
    ext = bytes(rrp.payload)
    authentic = hmac.new(key, answer[:len(answer) - len(ext) + 6], hashlib.md5).digest() == ext[6:22] if ext[:1] == b' ' else None
    print(json.dumps({'type': reply.type, 'code': rrp.code, 'lifetime': rrp.lifetime, 'home': rrp.homeaddr,
        'low': (rrp.id & 0xffffffff) == (ident & 0xffffffff) or bool(case.get('repeat')), 'authentic': authentic}), flush=True)
`;

describe.skipIf(reason !== undefined)('Mobile IP', () => {
  const sandbox = new TestbedSandbox('omi');
  const name = sandbox.prefix;
  afterAll(() => sandbox.close());
  beforeAll(async () => {
    const file = writeVariant(join(sandbox.directory, 'interop.yaml'), {
      name,
      everySeconds: 4,
      lastsSeconds: 5,
      up: '64k',
      down: '128k',
      mobileNode: { discovery: 'solicit' },
    });
    const scenario = parse(readFileSync(file, 'utf8'));
    scenario.nodes.goddard.homeAgent.mobileNodes.push({
      homeAddress: '10.9.0.77',
      security: [{ spi: 3000, key: KEY }],
    });
    writeFileSync(file, stringify(scenario, { aliasDuplicateObjects: false }));
    const up = await sandbox.run('up', file);
    expect(up.code, up.stderr).toBe(0);
  });

  async function register(
    node: string,
    to: string,
    from: string,
    port: number,
    ttl: number,
    key: string,
    spi: number,
    cases: readonly object[],
  ) {
    const args = [PYTHON, '-c', REGISTER, to, from, String(port), String(ttl), key, String(spi), JSON.stringify(cases)];
    const done = await outcome(
      spawn('ip', ['netns', 'exec', `${name}-${node}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    expect(done.code, done.stderr).toBe(0);
    return done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  test('scapy registers a co-located care-of address with the home agent; forged, replayed, stale, cut and flipped requests do not', async () => {
    const good = { home: '10.9.0.77', careof: '192.168.9.2', flags: 0x22 };
    const answers = await register('control', '10.0.0.1', '192.168.9.2', 4434, 64, KEY, 3000, [
      good,
      { ...good, repeat: true },
      { ...good, forged: true },
      { ...good, ahead: -20 },
      { ...good, ahead: 20 },
      { ...good, cut: 30 },
      { ...good, flip: 8 * 6 + 1 },
      { ...good, flags: 0x2a },
      { ...good, flags: 0x23 },
      { ...good, agent: '10.9.0.255' },
      { ...good, home: '10.9.0.78' },
      { ...good, lifetime: 0, careof: '10.9.0.77' },
    ]);
    const codes = answers.map((answer) => answer?.code ?? null);
    // The flipped bit is in the home address's last but one octet: nobody we know, silence.
    expect(codes).toEqual([0, 133, 131, 133, 133, null, null, 139, 134, 136, null, 0]);
    for (const answer of answers)
      if (answer !== null) expect(answer).toMatchObject({ type: 3, low: true, authentic: true });
    expect(answers[0].lifetime).toBe(60);
  });

  test('a bit flipped anywhere, a message cut anywhere: 131, 136 or silence, never a binding', async () => {
    const good = { home: '10.9.0.77', careof: '192.168.9.2', flags: 0x22, wait: 0.3 };
    // 24 octets of request, 22 of authenticator: one bit in each third octet, and a cut behind each fourth.
    const flips = Array.from({ length: 15 }, (_, i) => ({ ...good, flip: 8 * (3 * i + 1) + (i % 8) }));
    const cuts = Array.from({ length: 11 }, (_, i) => ({ ...good, cut: 4 * i + 4 }));
    const answers = await register('control', '10.0.0.1', '192.168.9.2', 4435, 64, KEY, 3000, [...flips, ...cuts]);
    const codes = answers.map((answer) => answer?.code ?? null);
    for (const code of codes.slice(0, flips.length)) expect([null, 131]).toContain(code);
    expect(new Set(codes.slice(flips.length))).toEqual(new Set([null]));
    const status = JSON.parse((await sandbox.run('mip', '--json', '--testbed', name)).stdout) as {
      homeAgent?: { bindings: { homeAddress: string }[] };
    }[];
    const bound = status.flatMap(({ homeAgent }) => homeAgent?.bindings ?? []).map(({ homeAddress }) => homeAddress);
    expect(bound).not.toContain('10.9.0.77');
  });

  test('scapy registers through a foreign agent, which looks at the TTL and relays what the home agent thinks', async () => {
    const key = '6b25a8d1f00e4c3b97a2d5c4e1f80912';
    const tried = async (ttl: number, fields: object) => {
      // A station is in view for 5 of every 12 seconds: the one that answers is the one in view.
      const stations = [
        ['10.8.0.3', '10.3.0.2'],
        ['10.8.0.2', '10.2.0.2'],
        ['10.8.0.1', '10.1.0.2'],
      ] as const;
      for (let attempt = 0; attempt < 9; attempt++) {
        const [agent, careof] = stations[attempt % stations.length]!;
        const [answer] = await register('spacecraft', agent, '10.9.0.5', 5434, ttl, key, 1000, [
          { home: '10.9.0.5', careof, ...fields },
        ]);
        if (answer !== null) return answer.code;
      }
      return null;
    };
    expect(await tried(255, {})).toBe(0);
    expect(await tried(64, {})).toBe(76);
    expect(await tried(255, { careof: '10.77.0.1' })).toBe(77);
    expect(await tried(255, { lifetime: 40_000 })).toBe(69);
    // Relayed, judged by the home agent, and its answer relayed back.
    expect(await tried(255, { forged: true })).toBe(131);
    expect(await tried(255, { ahead: -20 })).toBe(133);
    expect(await tried(255, { ahead: 20 })).toBe(133);
  });

  test('tshark decodes every message and tunnelled packet of a run, nothing malformed', async () => {
    const captures = [
      ['goddard', 'internet'],
      ['spacecraft', 'space0'],
    ].map(([node, device]) => {
      const file = join(sandbox.directory, `${node}.pcap`);
      const args = ['netns', 'exec', `${name}-${node}`, 'tshark', '-q', '-i', device!, '-a', 'duration:26', '-w', file];
      return { file, done: outcome(spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] })) };
    });
    const ping = spawn('ip', ['netns', 'exec', `${name}-control`, 'ping', '-i', '0.2', '-c', '110', '10.9.0.5'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await Promise.all([outcome(ping), ...captures.map(({ done }) => done)]);
    const count = (file: string, filter: string) => {
      const { stdout } = spawnSync('tshark', ['-r', file, '-Y', filter], { encoding: 'utf8', maxBuffer: 1 << 26 });
      return stdout.split('\n').filter((line) => line !== '').length;
    };
    const [home, space] = [captures[0]!, captures[1]!];
    const counts = {
      requests: count(space.file, 'mip.type == 1'),
      replies: count(space.file, 'mip.type == 3 && mip.code == 0'),
      advertisements: count(space.file, 'icmp.type == 9 && icmp.mip.type == 16'),
      solicitations: count(space.file, 'icmp.type == 10'),
      revocations: count(home.file, 'mip.type == 7'),
      acknowledgements: count(home.file, 'mip.type == 15'),
      tunnelled: count(home.file, 'ip.proto == 4 && icmp'),
    };
    console.log(JSON.stringify(counts));
    for (const [what, n] of Object.entries(counts)) expect(n, what).toBeGreaterThan(0);
    for (const { file } of captures)
      expect(count(file, '_ws.malformed || (mip && _ws.expert.severity == error) || ip.checksum.status == 0')).toBe(0);
  });
});
