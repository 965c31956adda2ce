#!/usr/bin/env node
// `npm run bench:path [-- WHAT…] [--runs=N] [--seconds=N] [--json]`: the whole path as a user has it (a testbed of the real daemon:
// TUN, router, HDLC, channel, TUN), beside a plain C relay in the same run. Root.
//
//   throughput   kernel TCP in 1500-octet packets, without and with TUN offloads; the C relay likewise
//   acts         622.08 Mbit/s at 560 ms round trip, CUBIC and BBR, 60 s
//   delay        one-way delay error at 1, 20 and 240 ms, 1 kHz of UDP probes, kernel receive times
//   rate         the serial rate from 1.2 kbit/s to 100 Mbit/s, saturating UDP, at least 1000 frames
//   links        1000 links at 38.4 kbit/s, each with traffic: cores, memory, delay error
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const WHAT = { throughput, acts, delay, rate, links };
const chosen = positionals.length > 0 ? positionals : Object.keys(WHAT);
const runs = Number(values.runs);
const seconds = Number(values.seconds);
const folder = mkdtempSync(join(tmpdir(), 'omni-bench-'));
/** Three seconds: V8 compiles what runs often while it runs, and stalls of its own making end there. They are told apart, not left out. */
const WARM_UP_PROBES = 3000;
const probe = join(folder, 'probe');
const relay = join(folder, 'relay');
const results = {};
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const say = (text) => process.stderr.write(`${text}\n`);

try {
  execFileSync('cc', ['-O2', '-o', probe, join(root, 'bench/data-path/probe.c')]);
  execFileSync('cc', ['-O2', '-o', relay, join(root, 'native/bench/relay.c')]);
  for (const what of chosen) {
    if (!(what in WHAT)) throw new Error(`there is no '${what}'; one of ${Object.keys(WHAT).join(', ')}`);
    say(`\n${what}`);
    results[what] = await WHAT[what]();
  }
  const machine = {
    processor: cpus()[0]?.model,
    cores: availableParallelism(),
    kernel: release(),
    node: process.version,
    load: loadavg()[0],
  };
  if (values.json) process.stdout.write(`${JSON.stringify({ machine, results }, null, 2)}\n`);
  else
    say(
      `\n${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.load.toFixed(2)}`,
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

// --- what is measured -------------------------------------------------------------------------------------------------------

async function throughput() {
  const rows = {};
  for (const offloads of [false, true]) {
    const own = [];
    const plain = [];
    for (let run = 0; run < runs; run++) {
      own.push(
        await withTestbed(twoNodes({ rate: 'unlimited', offloads, queue: '2000 packets' }), (bed) => tcp(bed, seconds)),
      );
      plain.push(await withRelay(offloads, (bed) => tcp(bed, seconds)));
    }
    const omni = median(own.map((r) => r.bitPerSecond));
    const c = median(plain.map((r) => r.bitPerSecond));
    const name = offloads ? 'with offloads' : 'without offloads';
    rows[name] = { omni: own, relay: plain, ratio: omni / c };
    say(
      `  ${name}: omni ${giga(omni)}, C relay ${giga(c)}, ratio ${(omni / c).toFixed(2)}; runs ${own.map((r) => giga(r.bitPerSecond)).join(' ')}`,
    );
  }
  return rows;
}

async function acts() {
  const rows = {};
  for (const congestion of ['cubic', 'bbr']) {
    const text = twoNodes({
      preset: 'acts',
      offloads: true,
      // 43.5 MB are under way when the line is full; TCP offers half of its buffer as window. More only overflows queues.
      tcp: '{ bufferOctets: 96MiB }',
    });
    const result = await withTestbed(text, (bed) => tcp(bed, 60, ['-C', congestion]));
    rows[congestion] = result;
    say(
      `  ${congestion}: ${(result.bitPerSecond / 1e6).toFixed(1)} Mbit/s over 60 s, peak ${(result.peakBitPerSecond / 1e6).toFixed(1)} in one second, ${result.retransmits} retransmissions, late ${JSON.stringify(result.lateness)}`,
    );
  }
  return rows;
}

function quantiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  return { count: sorted.length, least: sorted[0], p50: at(0.5), p90: at(0.9), p99: at(0.99), maximum: sorted.at(-1) };
}

async function delay() {
  const rows = {};
  for (const milliseconds of [1, 20, 240]) {
    const text = twoNodes({ rate: '1G', delay: `${milliseconds}ms`, queue: '2000 packets' });
    await withTestbed(text, async (bed) => {
      // 64 octets of payload: 98 octets of frame and a flag at 1 Gbit/s take under 1 µs, inside the error that is reported.
      const count = WARM_UP_PROBES + 10_000;
      const list = await probes(bed, { count, intervalNanoseconds: 1_000_000, octets: 64 });
      const error = ({ sent, received }) => (received - sent) / 1000 - milliseconds * 1000;
      const warm = quantiles(list.filter(({ sequence }) => sequence >= WARM_UP_PROBES).map(error));
      const cold = quantiles(list.filter(({ sequence }) => sequence < WARM_UP_PROBES).map(error));
      rows[`${milliseconds} ms`] = { ...warm, first: cold };
      const told = ({ p50, p90, p99, maximum }) =>
        `p50 ${p50.toFixed(0)}, p90 ${p90.toFixed(0)}, p99 ${p99.toFixed(0)}, max ${maximum.toFixed(0)} µs`;
      say(`  ${milliseconds} ms: error ${told(warm)} (${warm.count} probes; the first ${cold.count}: ${told(cold)})`);
    });
  }
  // What the machine gives to anybody: a timer at real-time priority in a process that does nothing else.
  rows.bareTimer = execFileSync(process.execPath, [join(root, 'native/bench/timer.mjs'), '2000'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('SCHED_FIFO'));
  for (const line of rows.bareTimer) say(`  a timer alone: ${line}`);
  return rows;
}

async function rate() {
  const rows = {};
  for (const [name, bitPerSecond, octets, frames] of [
    ['1.2k', 1200, 16, 1000],
    ['9.6k', 9600, 100, 1000],
    ['38.4k', 38_400, 500, 1000],
    ['1M', 1e6, 1400, 3000],
    ['10M', 1e7, 1400, 10_000],
    ['100M', 1e8, 1400, 100_000],
  ]) {
    const text = twoNodes({ rate: name, delay: '1ms', queue: '2000 packets' });
    const row = await withTestbed(text, async (bed) => {
      // 3 % faster than the line, so that the queue is never empty.
      const interval = Math.floor(((octets + 36) * 8 * 1e9) / bitPerSecond / 1.03);
      const list = await probes(bed, { count: Math.ceil(frames * 1.05), intervalNanoseconds: interval, octets });
      // The first frames fill the queue; from then on the line is always busy.
      const busy = list.slice(Math.ceil(list.length / 20));
      const { counters } = bed.status().dataPlane.links[0].up;
      const bitsPerFrame = counters.bitsSent / counters.packetsIn;
      const time = (busy.at(-1).received - busy[0].received) / 1e9;
      return { frames: busy.length, measured: ((busy.length - 1) * bitsPerFrame) / time };
    });
    rows[name] = { ...row, error: row.measured / bitPerSecond - 1 };
    say(
      `  ${name}: ${row.measured.toFixed(1)} bit/s over ${row.frames} frames, error ${(100 * rows[name].error).toFixed(4)} %`,
    );
  }
  return rows;
}

async function links() {
  const program = join(root, 'bench/data-path/many-links.mjs');
  const result = JSON.parse(
    execFileSync(process.execPath, ['--expose-gc', program, probe], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const { p50, p99 } = result.delayErrorMicroseconds;
  say(
    `  ${result.links} links: ${result.cores.toFixed(2)} cores, ${result.datagrams} of ${result.sent} datagrams, delay error p50 ${p50.toFixed(0)} p99 ${p99.toFixed(0)} µs (26 µs of it a stuffed bit each), ${result.octetsPerIdleLink} octets an idle link`,
  );
  return result;
}

// --- testbeds ---------------------------------------------------------------------------------------------------------------

function twoNodes({ rate: bits, delay: time = '0ms', preset, offloads = false, queue, tcp: stack }) {
  const direction = `{ ${[bits && `rate: ${bits}`, bits && `delay: ${time}`, queue && `queue: ${queue}`].filter(Boolean).join(', ')} }`;
  const settings = preset === undefined ? `up: ${direction}\n    down: ${direction}` : `preset: ${preset}`;
  return `name: bench-${process.pid}
offloads: ${offloads}
${stack === undefined ? '' : `tcp: ${stack}\n`}nodes:
  a: { kind: ground-station, address: 10.99.0.1 }
  b: { kind: spacecraft, address: 10.99.0.2 }
links:
  space:
    between: [a, b]
    ${settings}
`;
}

async function withTestbed(text, use) {
  const file = join(folder, 'scenario.yaml');
  const name = `bench-${process.pid}`;
  writeFileSync(file, text);
  omni('up', file);
  try {
    const status = () => JSON.parse(omni('status', '--testbed', name, '--json'))[0];
    const result = await use({ a: `${name}-a`, b: `${name}-b`, address: '10.99.0.2', status });
    const { lateness } = status().dataPlane;
    if (result !== undefined) {
      const { overdue, maximumMicroseconds, p50Microseconds, p99Microseconds } = lateness;
      result.lateness = { overdue, maximumMicroseconds, p50Microseconds, p99Microseconds };
    }
    return result;
  } finally {
    omni('down', name);
  }
}

/** Two namespaces with TUNs joined by the plain C relay. */
async function withRelay(offloads, use) {
  const [a, b] = ['a', 'b'].map((side) => `omni-relay-${process.pid}-${side}`);
  const made = [];
  let child;
  try {
    for (const name of [a, b]) {
      ip('netns', 'add', name);
      made.push(name);
    }
    child = spawn(relay, [`/run/netns/${a}`, `/run/netns/${b}`, 'tun0', 'tun0', offloads ? '1' : '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await said(child, 'ready');
    for (const [name, local, peer] of [
      [a, '10.99.0.1', '10.99.0.2'],
      [b, '10.99.0.2', '10.99.0.1'],
    ]) {
      ip('-n', name, 'address', 'add', local, 'peer', peer, 'dev', 'tun0');
      ip('-n', name, 'link', 'set', 'tun0', 'mtu', '1500', 'up');
    }
    return await use({ a, b, address: '10.99.0.2' });
  } finally {
    await end(child);
    for (const name of made) ip('netns', 'del', name);
  }
}

async function tcp({ a, b, address }, time, extra = []) {
  const server = spawn('ip', ['netns', 'exec', b, 'iperf3', '-s', '-1', '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await said(server, 'listening');
    const report = JSON.parse(
      execFileSync('ip', ['netns', 'exec', a, 'iperf3', '-c', address, '-t', String(time), '-J', ...extra], {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      }),
    );
    return {
      bitPerSecond: report.end.sum_received.bits_per_second,
      peakBitPerSecond: Math.max(...report.intervals.map((i) => i.sum.bits_per_second)),
      retransmits: report.end.sum_sent.retransmits,
    };
  } finally {
    await end(server);
  }
}

async function probes({ a, b, address }, { count, intervalNanoseconds, octets }) {
  const idle = Math.max(3000, Math.ceil((intervalNanoseconds / 1e6) * 50));
  const receiver = spawn('ip', ['netns', 'exec', b, probe, 'receive', '9000', String(count), String(idle)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  receiver.stdout.setEncoding('utf8');
  receiver.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await said(receiver, 'ready');
  const sender = spawn(
    'ip',
    ['netns', 'exec', a, probe, 'send', address, '9000', String(count), String(intervalNanoseconds), String(octets)],
    { stdio: 'inherit' },
  );
  await once(sender, 'exit');
  await once(receiver, 'close');
  const base = BigInt(text.match(/^\d+ (\d+) \d+$/m)?.[1] ?? 0);
  return text
    .split('\n')
    .filter((line) => /^\d+ \d+ \d+$/.test(line))
    .map((line) => {
      const [sequence, sent, received] = line.split(' ').map(BigInt);
      return { sequence: Number(sequence), sent: Number(sent - base), received: Number(received - base) };
    });
}

async function said(child, word) {
  let text = '';
  child.stdout.setEncoding('utf8');
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes(word)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said '${word}'`)));
  });
}

async function end(child) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

function omni(...args) {
  return execFileSync(join(root, 'bin/omni'), args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
}

function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

function giga(bitPerSecond) {
  return `${(bitPerSecond / 1e9).toFixed(2)} Gbit/s`;
}
