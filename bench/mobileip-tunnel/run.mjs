#!/usr/bin/env node
// `npm run bench:mip [-- --runs=N --seconds=N --json]`: TCP through Mobile IP's tunnels as the services make them: IP in IP in user space, the
// TUN and the raw socket of the home agent and of a foreign agent, both directions (the acknowledgements come by the reverse
// tunnel). In the same run, in turn: the plainest such tunnel in C (ipip.c), the kernel's own ipip where it has it, and the same four
// namespaces with plain routes. Root, iperf3, cc.
//
//     client ── home agent ══ tunnel ══ foreign agent ── node 10.9.0.5
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const prefix = `omni-mip-${process.pid}`;
const names = ['client', 'home', 'foreign', 'node'].map((name) => `${prefix}-${name}`);
const [client, home, foreign, node] = names;
const folder = mkdtempSync(join(tmpdir(), 'omni-mip-'));
const relay = join(folder, 'ipip');
const ip = (...words) => execFileSync('ip', words);
const batch = (namespace, lines) => execFileSync('ip', ['-n', namespace, '-batch', '-'], { input: lines.join('\n') });
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const mega = (bit) => `${(bit / 1e6).toFixed(0)} Mbit/s`;

try {
  execFileSync('cc', ['-O2', '-o', relay, join(root, 'bench/mobileip-tunnel/ipip.c')]);
  build();
  const kinds = ['omni', 'c', ...(hasIpip() ? ['ipip'] : []), 'plain'];
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]));
  for (let run = 0; run < Number(values.runs); run++)
    for (const kind of kinds) results[kind].push(await WAYS()[kind](() => tcp()));
  report(results, kinds);
} finally {
  for (const name of names) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  rmSync(folder, { recursive: true, force: true });
}

/** By kind: makes the tunnel, measures, removes it. */
function WAYS() {
  return {
    omni: (measure) => withEnds(agent, measure),
    c: (measure) => withEnds(plainEnd, measure),
    ipip: async (measure) => {
      batch(home, [
        'link add kip0 type ipip local 10.0.0.1 remote 10.0.0.2',
        'link set kip0 mtu 1480 up',
        'route add 10.9.0.5/32 dev kip0',
      ]);
      batch(foreign, [
        'link add kip0 type ipip local 10.0.0.2 remote 10.0.0.1',
        'link set kip0 mtu 1480 up',
        'route add default dev kip0 table 434',
        'rule add iif space from 10.9.0.5 lookup 434 priority 434',
      ]);
      const result = await measure();
      for (const each of [home, foreign]) ip('-n', each, 'link', 'del', 'kip0');
      ip('-n', foreign, 'rule', 'del', 'priority', '434');
      return result;
    },
    plain: async (measure) => {
      batch(home, ['route add 10.9.0.5/32 via 10.0.0.2']);
      const result = await measure();
      batch(home, ['route del 10.9.0.5/32 via 10.0.0.2']);
      return result;
    },
  };
}

/** Two processes, one at each end of the tunnel. */
async function withEnds(start, measure) {
  const ends = await Promise.all([start(home, 'home'), start(foreign, 'foreign')]);
  try {
    return await measure();
  } finally {
    for (const each of ends) {
      each.kill('SIGTERM');
      await once(each, 'exit');
    }
    spawnSync('ip', ['-n', foreign, 'rule', 'del', 'priority', '434']);
  }
}

function build() {
  for (const name of names) ip('netns', 'add', name);
  const joins = [
    [client, 'eth0', home, 'lan'],
    [home, 'core', foreign, 'core'],
    [foreign, 'space', node, 'eth0'],
  ];
  for (const [a, left, b, right] of joins)
    ip('link', 'add', left, 'netns', a, 'type', 'veth', 'peer', 'name', right, 'netns', b);
  batch(client, ['addr add 192.168.9.2/24 dev eth0', 'link set eth0 up', 'route add default via 192.168.9.1']);
  batch(home, [
    'addr add 192.168.9.1/24 dev lan',
    'addr add 10.0.0.1/24 dev core',
    'link set lan up',
    'link set core up',
  ]);
  batch(foreign, [
    'addr add 10.0.0.2/24 dev core',
    'addr add 10.8.0.1/24 dev space',
    'link set core up',
    'link set space up',
    'route add 10.9.0.5/32 dev space',
    'route add 192.168.9.0/24 via 10.0.0.1',
  ]);
  batch(node, [
    'addr add 10.9.0.5/32 dev eth0',
    'link set eth0 up',
    'route add 10.8.0.1 dev eth0',
    'route add default via 10.8.0.1',
  ]);
  for (const name of [home, foreign])
    for (const setting of [
      'ip_forward=1',
      'conf.all.rp_filter=0',
      'conf.default.rp_filter=0',
      'conf.all.accept_local=1',
    ])
      execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', `net.ipv4.${setting}`]);
}

function hasIpip() {
  const made = spawnSync('ip', [
    '-n',
    home,
    'link',
    'add',
    'kip1',
    'type',
    'ipip',
    'local',
    '10.0.0.1',
    'remote',
    '10.0.0.2',
  ]);
  if (made.status === 0) ip('-n', home, 'link', 'del', 'kip1');
  return made.status === 0;
}

function agent(namespace, role) {
  const program = join(root, 'bench/mobileip-tunnel/agent.mjs');
  return started(namespace, [process.execPath, program, role, join(root, 'dist')]);
}

async function plainEnd(namespace, role) {
  const child = await started(namespace, [relay, 'mip0', role === 'home' ? '10.0.0.2' : '10.0.0.1']);
  const routes = {
    home: ['route replace 10.9.0.0/24 dev mip0'],
    foreign: ['route replace default dev mip0 table 434', 'rule add iif space from 10.9.0.5 lookup 434 priority 434'],
  };
  batch(namespace, ['link set mip0 mtu 1480 up', ...routes[role]]);
  return child;
}

async function started(namespace, program) {
  const child = spawn('ip', ['netns', 'exec', namespace, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${program[0]} ended`))),
  ]);
  return child;
}

async function tcp() {
  const server = spawn('ip', ['netns', 'exec', node, 'iperf3', '-s', '-1', '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(server.stdout, 'data');
  const args = ['netns', 'exec', client, 'iperf3', '-c', '10.9.0.5', '-t', String(seconds), '-O', '1', '-J'];
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await once(child, 'close');
  server.kill();
  const answer = JSON.parse(text);
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer.end.sum_received.bits_per_second;
}

function report(results, kinds) {
  const of = Object.fromEntries(kinds.map((kind) => [kind, median(results[kind])]));
  const machine = {
    processor: cpus()[0]?.model,
    cores: availableParallelism(),
    kernel: release(),
    node: process.version,
    load: loadavg()[0],
  };
  const ratios = {
    c: of.omni / of.c,
    plain: of.omni / of.plain,
    ...(of.ipip === undefined ? {} : { ipip: of.omni / of.ipip }),
  };
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, seconds, results, medians: of, ratios }, undefined, 2)}\n`);
    return;
  }
  const label = { omni: 'Mobile IP, user space', c: 'IP in IP in C', ipip: "the kernel's ipip", plain: 'no tunnel' };
  for (const kind of kinds)
    process.stdout.write(
      `${label[kind].padEnd(24)}${mega(of[kind]).padStart(12)}   runs ${results[kind].map(mega).join(', ')}\n`,
    );
  if (of.ipip === undefined) process.stdout.write("the kernel's ipip       not in this kernel\n");
  const shares = Object.entries(ratios).map(([kind, ratio]) => `${ratio.toFixed(3)} of ${label[kind]}`);
  process.stdout.write(
    `${shares.join(', ')}; ${machine.cores} cores, load ${machine.load.toFixed(2)}, Linux ${machine.kernel}, Node ${machine.node}\n`,
  );
}
