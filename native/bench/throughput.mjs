// Kernel TCP (iperf3) between two namespaces across the JS relay and across the C relay, alternating, medians.
// usage (root): node bench/throughput.mjs [runs = 3] [seconds = 4]
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const runs = Number(process.argv[2] ?? 3);
const seconds = Number(process.argv[3] ?? 4);
const [a, b] = ['a', 'b'].map((side) => `omni-bench-${process.pid}-${side}`);
const paths = [`/run/netns/${a}`, `/run/netns/${b}`];
const run = (...words) =>
  execFileSync(words[0], words.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const relayBinary = join(here, '../build/bench-relay');
const relays = {
  c: (vnet) => [relayBinary, ...paths, 'tun0', 'tun0', vnet],
  js: (vnet) => [process.execPath, join(here, 'relay.mjs'), ...paths, 'tun0', 'tun0', vnet],
};
const median = (values) => values.toSorted((x, y) => x - y)[values.length >> 1];

async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

async function started(words, word) {
  const child = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    said += text;
    if (said.includes(word)) return child;
  }
  throw new Error(`${words[0]} ended before it said ${word}`);
}

const cpuSeconds = (pid) => {
  const fields = run('cat', `/proc/${pid}/stat`).split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

async function measure(words) {
  const relay = await started(words, 'ready');
  let server;
  try {
    [
      [a, '10.99.0.1', '10.99.0.2'],
      [b, '10.99.0.2', '10.99.0.1'],
    ].forEach(([netns, local, peer]) => {
      run('ip', '-n', netns, 'addr', 'add', local, 'peer', peer, 'dev', 'tun0');
      run('ip', '-n', netns, 'link', 'set', 'tun0', 'mtu', '1500', 'up');
    });
    server = await started(['ip', 'netns', 'exec', b, 'iperf3', '-s', '-1', '--forceflush'], 'listening');
    const before = cpuSeconds(relay.pid);
    const report = JSON.parse(
      run('ip', 'netns', 'exec', a, 'iperf3', '-c', '10.99.0.2', '-t', `${seconds}`, '-O', '1', '-J'),
    );
    const cpu = cpuSeconds(relay.pid) - before;
    return {
      gigabits: report.end.sum_received.bits_per_second / 1e9,
      retransmits: report.end.sum_sent.retransmits,
      cpu: cpu / (seconds + 1),
    };
  } finally {
    if (server) await stop(server);
    await stop(relay);
  }
}

try {
  run('mkdir', '-p', dirname(relayBinary));
  run('cc', '-O2', '-std=c11', '-o', relayBinary, join(here, 'relay.c'));
  for (const netns of [a, b]) run('ip', 'netns', 'add', netns);
  for (const vnet of ['0', '1']) {
    const figures = { c: [], js: [] };
    for (let i = 0; i < runs; i++)
      for (const kind of i % 2 === 0 ? ['c', 'js'] : ['js', 'c']) {
        const result = await measure(relays[kind](vnet));
        figures[kind].push(result.gigabits);
        console.log(
          `vnet=${vnet} relay=${kind} gbit_s=${result.gigabits.toFixed(2)} retransmits=${result.retransmits} relay_cpu=${result.cpu.toFixed(2)}`,
        );
      }
    const [c, js] = [median(figures.c), median(figures.js)];
    console.log(`vnet=${vnet} median c=${c.toFixed(2)} js=${js.toFixed(2)} ratio=${(js / c).toFixed(2)}`);
  }
} finally {
  for (const netns of [a, b])
    try {
      run('ip', 'netns', 'del', netns);
    } catch {}
}
