// Every kind of attachment in real namespaces: home LAN (RFC 5944 section 4.6), foreign agent, an address of its own, one-way stations, a
// NAT (RFC 3519), and a mobile network that comes along (RFC 5177).
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { controlRequest } from '../../src/testbed/control.ts';
import { attachmentScenario, HOME, INSTRUMENT, NAT } from '../support/mobileip-attachments.ts';
import { noTestbeds, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';
import { UdpNat } from '../support/udp-nat.ts';

const reason = noTestbeds() ?? (onPath('ping') ? undefined : 'needs ping');
if (reason !== undefined) console.log(`skipped: Mobile IP attachments in namespaces: ${reason}`);

interface Registration {
  readonly link: string;
  readonly careOfAddress: string;
  readonly coLocated: boolean;
  readonly udpTunnel: boolean;
  readonly networks: number;
  readonly remainingSeconds: number;
}
interface Services {
  readonly mobileNode: { readonly state: string; readonly registration?: Registration };
  readonly homeAgent: { readonly bindings: readonly { readonly careOfAddress: string }[] };
}

describe.skipIf(reason !== undefined)('a mobile node', () => {
  const sandbox = new TestbedSandbox('omatt');
  const name = sandbox.prefix;
  let nat: UdpNat;
  let echoServer: ReturnType<typeof spawn> | undefined;
  afterAll(async () => {
    nat?.close();
    echoServer?.kill();
    await sandbox.close();
  });
  beforeAll(async () => {
    const file = join(sandbox.directory, 'attachments.yaml');
    writeFileSync(file, stringify(attachmentScenario(name), { aliasDuplicateObjects: false }));
    const up = await sandbox.run('up', file);
    expect(up.code, up.stderr).toBe(0);
    const server = `require('node:net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(7007, '${HOME}')`;
    echoServer = spawn('ip', ['netns', 'exec', `${name}-spacecraft`, process.execPath, '-e', server]);
    nat = await UdpNat.start(`${name}-madrid`, NAT.inside, NAT.outside, 1500);
  });

  const ip = (node: string, ...args: string[]): string =>
    spawnSync('ip', ['-n', `${name}-${node}`, ...args], { encoding: 'utf8' }).stdout;
  const hardwareAddress = (node: string, device: string): string =>
    /ether (\S+)/.exec(ip(node, 'link', 'show', device))![1]!;
  /** Where the bench computer's ARP cache has the spacecraft. */
  const arpEntry = (): string | undefined => /lladdr (\S+)/.exec(ip('bench', 'neigh', 'show', 'to', HOME))?.[1];

  async function ping(from: string, to: string): Promise<{ received: number; hops: number | undefined }> {
    const args = ['netns', 'exec', `${name}-${from}`, 'ping', '-c', '2', '-i', '0.2', '-W', '1', to];
    const { stdout } = await outcome(spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }));
    const ttl = /ttl=(\d+)/.exec(stdout)?.[1];
    return {
      received: Number(/(\d+) received/.exec(stdout)?.[1] ?? 0),
      hops: ttl === undefined ? undefined : 64 - Number(ttl),
    };
  }

  /** Twenty kilooctets to the spacecraft and back over TCP, in the largest segments that the path takes. */
  async function echo(): Promise<string> {
    const client = `
      const socket = require('node:net').connect(7007, '${HOME}');
      const sent = require('node:crypto').randomBytes(20_000);
      const got = [];
      socket.on('data', (chunk) => got.push(chunk));
      socket.on('end', () => console.log(Buffer.concat(got).equals(sent) ? 'same' : 'other'));
      socket.on('error', (error) => console.log(error.message));
      socket.end(sent);
      setTimeout(() => process.exit(), 5000).unref();`;
    const args = ['netns', 'exec', `${name}-control`, process.execPath, '-e', client];
    return (await outcome(spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }))).stdout.trim();
  }

  async function services(): Promise<Services> {
    const socket = join(sandbox.environment.OMNI_RUN_DIRECTORY!, name, 'control.sock');
    const { apps } = (await controlRequest(socket, 'status', {})) as { apps: { services: object }[] };
    return Object.assign({}, ...apps.map((app) => app.services));
  }
  async function until<Value>(
    what: string,
    look: () => Promise<Value | undefined> | Value | undefined,
  ): Promise<Value> {
    for (let attempt = 0; attempt < 400; attempt++) {
      const value = await look();
      if (value !== undefined) return value;
      await pause(50);
    }
    throw new Error(`it never came to this: ${what}`);
  }
  const registeredBy = (link: string) =>
    until(`registered by ${link}`, async () => {
      const { mobileNode } = await services();
      return mobileNode.state === 'registered' && mobileNode.registration?.link === link
        ? mobileNode.registration
        : undefined;
    });
  const plug = (state: 'up' | 'down') => ip('lan', 'link', 'set', 'spacecraft', state);

  test('at home it answers ARP itself, and needs no binding', async () => {
    await until('at home', async () => ((await services()).mobileNode.state === 'home' ? true : undefined));
    expect(await ping('bench', HOME)).toEqual({ received: 2, hops: 0 });
    expect(arpEntry()).toBe(hardwareAddress('spacecraft', 'lan'));
    expect((await services()).homeAgent.bindings).toEqual([]);
  });

  test('section 4.6: when it leaves, gratuitous ARP moves it to the home agent, which answers for it', async () => {
    plug('down');
    await until('registered', async () =>
      (await services()).mobileNode.registration !== undefined ? true : undefined,
    );
    const agent = hardwareAddress('goddard', 'lan');
    // The cache entry was good and nobody asked: only the broadcast can have changed it.
    await until('the ARP cache follows', () => (arpEntry() === agent ? true : undefined));
    expect(ip('goddard', 'neigh', 'show', 'proxy')).toContain(HOME);
    ip('bench', 'neigh', 'del', HOME, 'dev', 'lan');
    await until('reached from the bench', async () => ((await ping('bench', HOME)).received > 0 ? true : undefined));
    expect(arpEntry()).toBe(agent);
  });

  test('every kind of station: a foreign agent, an address of its own, one way up and another down; the LAN comes along', async () => {
    const expected = {
      'space-wallops': { careOfAddress: '10.1.0.2', coLocated: false, udpTunnel: false },
      'space-canberra': { careOfAddress: '10.4.100.5', coLocated: true, udpTunnel: false },
      'space-santiago': { careOfAddress: '10.2.0.2', coLocated: false, udpTunnel: false },
    };
    const seen = new Set<string>();
    // On a busy machine a window may end before the looking does: there are more.
    for (let attempt = 0; seen.size < 3 && attempt < 15; attempt++) {
      const next = await until('a station not seen yet, just now', async () => {
        const registration = (await services()).mobileNode.registration;
        const fresh = registration !== undefined && registration.remainingSeconds >= 59;
        return fresh && registration.link in expected && !seen.has(registration.link) ? registration.link : undefined;
      });
      const registration = await registeredBy(next);
      expect(registration).toMatchObject({ ...expected[next as keyof typeof expected], networks: 1 });
      // One after the other: behind what TCP puts into the queue a ping waits longer than ping does.
      const pings = await Promise.all([ping('control', HOME), ping('control', INSTRUMENT), ping('bench', HOME)]);
      const echoed = await echo();
      const now = await services();
      const inTime = now.mobileNode.registration?.link === next && now.mobileNode.state === 'registered';
      const result = [...pings.map(({ received }) => received), echoed];
      if (JSON.stringify(result) !== '[2,2,2,"same"]') {
        console.log(`${next}: ${result}, ${inTime ? 'in' : 'out of'} time`);
        continue;
      }
      if (inTime)
        expect(now.homeAgent.bindings.map((each) => each.careOfAddress)).toEqual([registration.careOfAddress]);
      seen.add(next);
    }
    expect([...seen].sort()).toEqual(Object.keys(expected).sort());
  });

  test('RFC 3519: behind a NAT the tunnel is in UDP, and keepalives hold the mapping open through a silence', async () => {
    const registration = await registeredBy('space-madrid');
    expect(registration).toMatchObject({ careOfAddress: NAT.inside, coLocated: true, udpTunnel: true });
    expect((await services()).homeAgent.bindings.map((each) => each.careOfAddress)).toEqual([NAT.outside]);
    expect(await ping('control', HOME)).toMatchObject({ received: 2 });
    const before = nat.counters.out;
    // Longer than the NAT remembers.
    await pause(1900);
    expect(nat.counters.out).toBeGreaterThan(before);
    expect(await ping('control', HOME)).toMatchObject({ received: 2 });
    // And it was the mapping that did it.
    const unmapped = nat.counters.unmapped;
    nat.forgetAll();
    await ping('control', HOME);
    expect(nat.counters.unmapped).toBeGreaterThan(unmapped);
  });

  test('section 4.6: when it comes home the ARP caches follow, and nothing of the absence is left', async () => {
    plug('up');
    await until('at home', async () => ((await services()).mobileNode.state === 'home' ? true : undefined));
    const own = hardwareAddress('spacecraft', 'lan');
    await until('the ARP cache follows', () => (arpEntry() === own ? true : undefined));
    expect(await ping('bench', HOME)).toEqual({ received: 2, hops: 0 });
    expect((await services()).homeAgent.bindings).toEqual([]);
    expect(ip('goddard', 'neigh', 'show', 'proxy')).toBe('');
    expect(ip('goddard', 'route', 'show', HOME)).toBe('');
    echoServer?.kill();
    expect((await sandbox.run('down', name)).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });
});
