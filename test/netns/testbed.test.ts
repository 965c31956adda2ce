// A testbed as its user meets it: up, names, ping, exec, status, two side by side, and refusals that change nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { noTestbeds, OMNI, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds() ?? (onPath('ping') ? undefined : 'needs ping (iputils-ping)');
if (reason !== undefined) console.log(`skipped: testbeds in namespaces: ${reason}`);

describe.skipIf(reason !== undefined)('a testbed', () => {
  const sandbox = new TestbedSandbox('omt');
  const name = sandbox.prefix;
  afterAll(() => sandbox.close());

  test('comes up, answers the first ping across the space link, and goes down without a trace', async () => {
    const started = performance.now();
    const up = await sandbox.run('up', 'uosat12', '--name', name, '--json');
    expect(up.code, up.stderr).toBe(0);
    const ping = await sandbox.run('exec', 'control', '--', 'ping', '-c', '1', '-W', '5', 'spacecraft');
    console.log(`time to the first answered ping: ${((performance.now() - started) / 1000).toFixed(2)} s`);
    expect(ping.stdout).toMatch(/1 received/);
    // Ground station's kernel and router are one hop, the spacecraft is the end.
    expect(ping.stdout).toMatch(/ttl=63/);
    expect(JSON.parse(up.stdout)).toMatchObject({ name, seed: 12, links: [{ name: 'space' }] });

    for (const [from, to] of [
      ['spacecraft', 'control'],
      ['spacecraft', 'surrey'],
      ['surrey', 'spacecraft'],
      ['control', 'surrey'],
    ] as const)
      expect((await sandbox.run('exec', from, '--', 'ping', '-c', '1', '-W', '5', to)).code).toBe(0);

    const status = await sandbox.run('status', '--json');
    const [only] = JSON.parse(status.stdout);
    expect(only).toMatchObject({
      name,
      state: 'up',
      apps: ['spacecraft', 'surrey', 'control'].map((node) => ({ node, state: 'running', restarts: 0 })),
    });
    expect(only.dataPlane.alarms).toEqual([]);
    const text = await sandbox.run('status');
    expect(text.stdout).toMatch(/38.4kbit\/s, 10ms, BER 4.5e-6/);
    // The app process gave root up.
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${only.apps[0].pid}/status`, 'utf8'))?.[1];
    expect(uid).toBe('65534');

    const down = await sandbox.run('down');
    expect(down.code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });

  test('exec passes exit code, arguments, stdin and signals', async () => {
    await sandbox.run('up', 'uosat12', '--name', name);
    expect((await sandbox.run('exec', 'control', '--', 'sh', '-c', 'exit 7')).code).toBe(7);
    expect((await sandbox.run('exec', 'control', 'printf', '%s|', 'a b', '--', '-c')).stdout).toBe('a b|--|-c|');
    const cat = sandbox.start(['exec', 'spacecraft', '--', 'cat'], { stdin: 'pipe' });
    const echoed = outcome(cat);
    cat.stdin!.end('over the link');
    expect((await echoed).stdout).toBe('over the link');
    for (const [signal, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      const sleeper = sandbox.start(['exec', 'control', '--', 'sh', '-c', 'echo started; exec sleep 60']);
      sleeper.stdout!.once('data', () => sleeper.kill(signal));
      expect((await outcome(sleeper)).code).toBe(code);
    }
    const shell = sandbox.start(['shell', 'surrey'], { stdin: 'pipe' });
    const typed = outcome(shell);
    shell.stdin!.end('ip -o -4 addr show dev space0; exit 3\n');
    expect(await typed).toMatchObject({ code: 3, stdout: expect.stringContaining('10.12.0.2') });
    expect(await sandbox.run('exec', 'controll', '--', 'true')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('spacecraft, surrey, control'),
    });
  });

  test('the same name twice says so and changes nothing', async () => {
    const before = sandbox.processes();
    const again = await sandbox.run('up', 'uosat12', '--name', name);
    expect(again.code).toBe(75);
    expect(again.stderr).toMatch(/is up already/);
    expect(sandbox.processes()).toEqual(before);
    const both = await Promise.all([1, 2].map(() => sandbox.run('up', 'uosat12', '--name', `${name}-x`)));
    expect(both.map((r) => r.code).sort()).toEqual([0, 75]);
    expect((await sandbox.run('down', `${name}-x`)).code).toBe(0);
  });

  test('two run side by side and one goes alone', async () => {
    expect((await sandbox.run('up', 'uosat12', '--name', `${name}-b`)).code).toBe(0);
    const ambiguous = await sandbox.run('exec', 'control', '--', 'true');
    expect(ambiguous.stderr).toMatch(/several testbeds/);
    const pings = await Promise.all(
      [name, `${name}-b`].map((t) =>
        sandbox.run('exec', '--testbed', t, 'control', '--', 'ping', '-c', '1', '-W', '5', 'spacecraft'),
      ),
    );
    expect(pings.map((p) => p.code)).toEqual([0, 0]);
    expect((await sandbox.run('down', name)).code).toBe(0);
    expect((await sandbox.run('exec', 'control', '--', 'ping', '-c', '1', '-W', '5', 'spacecraft')).code).toBe(0);
    expect((await sandbox.run('down', '--all')).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });

  test('a namespace that is not ours is neither used nor removed', async () => {
    const foreign = `${name}-surrey`;
    spawnSync('ip', ['netns', 'add', foreign]);
    try {
      const up = await sandbox.run('up', 'uosat12', '--name', name);
      expect(up).toMatchObject({ code: 75, stderr: expect.stringContaining(`'${foreign}' already`) });
      expect(sandbox.remains()).toEqual([`namespace ${foreign}`]);
    } finally {
      spawnSync('ip', ['netns', 'del', foreign]);
    }
  });

  test('a bridge of three nodes, a relay spacecraft, IPv6, TCP of 2000', async () => {
    const file = join(sandbox.directory, 'relay.yaml');
    writeFileSync(
      file,
      `name: ${name}
tcp: { stack: 2000, maximumSegment: 512 }
nodes:
  far: { kind: spacecraft, address6: 'fd12::1' }
  relay: { kind: spacecraft, address6: 'fd12::2' }
  gs: { kind: ground-station, address6: 'fd12::3' }
  cc: { kind: control-centre }
  pi: { kind: host }
links:
  ground: { between: [gs, relay], up: { rate: 1M }, down: { rate: 1M } }
  cross: { between: [relay, far], up: { rate: 1M, delay: 5ms }, down: { rate: 1M, delay: 5ms } }
networks:
  core: { nodes: [gs, cc, pi], prefix: 192.168.77.0/24, prefix6: 'fd77::/64' }
`,
    );
    const up = await sandbox.run('up', file);
    expect(up.code, up.stderr).toBe(0);
    for (const [from, to] of [
      ['pi', 'cc'],
      ['pi', 'far'],
      ['far', 'cc'],
    ] as const)
      expect((await sandbox.run('exec', from, '--', 'ping', '-c', '1', '-W', '5', to)).stdout).toMatch(/1 received/);
    expect((await sandbox.run('exec', 'pi', '--', 'ping', '-6', '-c', '1', '-W', '5', 'fd12::1')).stdout).toMatch(
      /1 received/,
    );
    const route = await sandbox.run('exec', 'pi', '--', 'ip', 'route', 'get', '10.0.0.1');
    expect(route.stdout).toMatch(/via 192.168.77.1 dev core/);
    const routes = await sandbox.run(
      'exec',
      'cc',
      '--',
      'sh',
      '-c',
      'ip route; sysctl -n net.ipv4.tcp_sack 2>/dev/null || cat /proc/sys/net/ipv4/tcp_sack',
    );
    expect(routes.stdout).toMatch(/rto_min lock 1s/);
    expect(routes.stdout).toMatch(/advmss 512/);
    expect(routes.stdout.trim()).toMatch(/\b0$/);
    expect((await sandbox.run('down')).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });

  test('a pass is handed over from one ground station to the next, in the middle of a ping', async () => {
    const file = join(sandbox.directory, 'handover.yaml');
    writeFileSync(
      file,
      `name: ${name}
nodes:
  sat: { kind: spacecraft }
  north: { kind: ground-station }
  south: { kind: ground-station }
  control: { kind: control-centre }
links:
  first: { between: [north, sat], preset: geo, contacts: [{ aos: 0s, los: 8s }] }
  second: { between: [south, sat], preset: geo, cost: 11, contacts: [{ aos: 6s, los: 60s }] }
networks:
  core: { nodes: [north, south, control] }
`,
    );
    expect((await sandbox.run('up', file)).code).toBe(0);
    // 560 ms round trip: what is under way at LOS is lost, some six pings of 120.
    const ping = await sandbox.run('exec', 'control', '--', 'ping', '-c', '120', '-i', '0.1', '-W', '3', 'sat');
    const received = Number(/(\d+) received/.exec(ping.stdout)?.[1]);
    const route = await sandbox.run('exec', 'control', '--', 'ip', 'route', 'get', '10.0.0.1');
    expect(route.stdout).toMatch(/via 192.168.1.2 dev core/);
    console.log(`handover: ${received} of 120 pings answered`);
    expect(received).toBeGreaterThan(90);
    expect((await sandbox.run('down')).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });

  test('a hundred nodes come up and go down', async () => {
    const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);
    const file = join(sandbox.directory, 'hundred.yaml');
    const scenario = {
      name,
      nodes: Object.fromEntries([
        ...numbers(80).map((i) => [`sc${i}`, { kind: 'spacecraft' }]),
        ...numbers(10).map((i) => [`gs${i}`, { kind: 'ground-station' }]),
        ...numbers(10).map((i) => [`cc${i}`, { kind: 'control-centre' }]),
      ]),
      links: Object.fromEntries(
        numbers(80).map((i) => [`l${i}`, { between: [`gs${i % 10}`, `sc${i}`], preset: 'uosat12' }]),
      ),
      networks: { core: { nodes: numbers(10).flatMap((i) => [`gs${i}`, `cc${i}`]) } },
    };
    writeFileSync(file, JSON.stringify(scenario));
    const started = performance.now();
    expect((await sandbox.run('up', file)).code).toBe(0);
    const up = performance.now();
    for (const [from, to] of [
      ['cc3', 'sc77'],
      ['sc0', 'sc79'],
    ] as const)
      expect((await sandbox.run('exec', from, '--', 'ping', '-c', '1', '-W', '5', to)).stdout).toMatch(/1 received/);
    const pinged = performance.now();
    expect((await sandbox.run('down')).code).toBe(0);
    const seconds = (ms: number) => (ms / 1000).toFixed(1);
    console.log(`100 nodes: up in ${seconds(up - started)} s, down in ${seconds(performance.now() - pinged)} s`);
    expect(sandbox.remains()).toEqual([]);
  });

  test('a scenario that cannot be built leaves nothing: a service, a sysctl or a file that is wrong', async () => {
    const build = async (node: string) => {
      const file = join(sandbox.directory, 'bad.yaml');
      writeFileSync(
        file,
        `name: ${name}\nnodes:\n  a: { kind: host }\n  sc: { kind: spacecraft, ${node} }\nlinks:\n  l: { between: [a, sc], preset: uosat12 }\n`,
      );
      const up = await sandbox.run('up', file);
      expect(sandbox.remains()).toEqual([]);
      return up;
    };
    expect(await build('ftp: { root: /dev/null/nowhere }')).toMatchObject({
      code: expect.toSatisfy((c) => c !== 0),
      stderr: expect.stringContaining("sc: the service 'ftp' did not start"),
    });
    expect((await build('sysctl: { net.ipv4.no_such_thing: 1 }')).stderr).toMatch(
      /no_such_thing: this kernel does not have it/,
    );
    expect(await build('fttp: {}')).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/bad.yaml:4:\d+: nodes.sc.fttp: unknown key 'fttp'; did you mean 'ftp'/),
    });
    expect(await sandbox.run('up', 'no-such-file.yaml')).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('there is no scenario file'),
    });
  });

  test('what the machine lacks is said in a sentence with its remedy, and nothing is left', async () => {
    const asNobody = spawnSync(process.execPath, [OMNI, 'up'], {
      uid: 65534,
      gid: 65534,
      encoding: 'utf8',
      env: sandbox.environment,
    });
    // A clone that nobody may read cannot say anything.
    if (!/EACCES|MODULE_NOT_FOUND/.test(asNobody.stderr)) {
      expect(asNobody.status).toBe(77);
      expect(asNobody.stderr).toMatch(/needs root.*\n.*sudo/);
    }
    const hidden = (mount: string) =>
      spawnSync('unshare', ['-m', 'sh', '-c', `${mount} && exec "${process.execPath}" "${OMNI}" up --name ${name}`], {
        encoding: 'utf8',
        env: sandbox.environment,
      });
    const withoutTun = hidden('mount --bind /dev/null /dev/net/tun');
    expect(withoutTun).toMatchObject({
      status: 69,
      stderr: expect.stringMatching(/no \/dev\/net\/tun\n.*modprobe tun/),
    });
    const ip = realpathSync(existsSync('/usr/sbin/ip') ? '/usr/sbin/ip' : '/sbin/ip');
    const plain = join(sandbox.directory, 'plain');
    writeFileSync(plain, '', { mode: 0o644 });
    const withoutIp = hidden(
      `for f in /sbin/ip /bin/ip /usr/bin/ip ${ip}; do [ -e $f ] && mount --bind ${plain} $f; done; true`,
    );
    expect(withoutIp).toMatchObject({
      status: 69,
      stderr: expect.stringMatching(/'ip' is not installed\n.*apt-get install iproute2/),
    });
    expect(sandbox.remains()).toEqual([]);
  });
});
