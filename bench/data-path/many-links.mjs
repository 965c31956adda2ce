#!/usr/bin/env node
// 1000 links at 38.4 kbit/s from one hub, in one process of the data plane, each with traffic both ways across real TUN devices:
// cores used, memory per idle link, one-way delay error. Root. Usage: node many-links.mjs PROBE [LINKS] [SECONDS]
//
// All spoke TUNs lie in one namespace, so that 1000 links need two namespaces and not 1001; the data path of a link is the same.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { ALWAYS, Line, NO_NOISE, Timeline } from '../../dist/channel/index.js';
import { PacketPool } from '../../dist/core/index.js';
import { frameRelay } from '../../dist/hdlc/index.js';
import { LinkDriver } from '../../dist/io/link-driver.js';
import { loadNative } from '../../dist/io/native.js';
import { parseIpv4, prefixOf } from '../../dist/ip/index.js';
import { Router } from '../../dist/router/index.js';

const [probe, count = '1000', time = '20'] = process.argv.slice(2);
const LINKS = Number(count);
const SECONDS = Number(time);
const DELAY_MS = 20;
const RATE = 38_400;
const native = await loadNative();
const [hub, far] = ['hub', 'far'].map((side) => `omni-links-${process.pid}-${side}`);
const spoke = (i) => `10.98.${i >> 8}.${i & 255}`;
const ip = (args, input) => execFileSync('ip', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
const made = [];
const fds = [];
try {
  for (const name of [hub, far]) {
    ip(['netns', 'add', name]);
    made.push(name);
    execFileSync('ip', [
      'netns',
      'exec',
      name,
      'sysctl',
      '-qw',
      'net.ipv6.conf.all.disable_ipv6=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    ]);
  }
  const open = (name, namespace) => {
    const { fd } = native.openTun({ name, netns: `/run/netns/${namespace}` });
    fds.push(fd);
    return fd;
  };
  const hubFd = open('hub0', hub);
  const spokeFds = Array.from({ length: LINKS }, (_, i) => open(`t${i}`, far));
  ip(
    ['-n', hub, '-batch', '-'],
    `address add 10.97.0.1/32 dev hub0\nlink set hub0 up\nroute add 10.98.0.0/16 dev hub0\n`,
  );
  ip(
    ['-n', far, '-batch', '-'],
    Array.from({ length: LINKS }, (_, i) => `address add ${spoke(i)}/32 dev t${i}\nlink set t${i} up\n`).join(''),
  );

  globalThis.gc?.();
  const before = process.memoryUsage();
  const pool = new PacketPool({ capacity: 16_384, slotOctets: 2048 });
  const driver = new LinkDriver({ native, pool });
  const link = { kind: 'link', mtuOctets: 1500, limit: { packets: 50 }, rateBitPerSec: RATE };
  const hubRouter = new Router({
    pool,
    interfaces: [
      { name: 'host', kind: 'host', mtuOctets: 1500, addresses: [parseIpv4('10.97.0.1')] },
      ...Array.from({ length: LINKS }, (_, i) => ({ name: `l${i}`, ...link })),
    ],
    routes: Array.from({ length: LINKS }, (_, i) => ({ prefix: prefixOf(parseIpv4(spoke(i)), 32), interface: 1 + i })),
  });
  driver.addNode({ name: 'hub', router: hubRouter, host: 0, tunFd: hubFd });
  const line = (name, index, direction, source) =>
    new Line({
      name,
      link: index,
      direction,
      seed: 1,
      settings: {
        rate: Timeline.constant(RATE),
        delay: Timeline.constant(DELAY_MS * 1e6),
        jitter: Timeline.constant(0),
        noise: Timeline.constant(NO_NOISE),
      },
      carrier: ALWAYS,
      inFlightAtLos: 'arrive',
      encapsulation: frameRelay(),
      fcs: 16,
      lineCoding: [],
      flagsBetweenFrames: 1,
      maximumFrameOctets: 1532,
      pool,
      source,
    });
  for (let i = 0; i < LINKS; i++) {
    const router = new Router({
      pool,
      interfaces: [
        { name: 'host', kind: 'host', mtuOctets: 1500, addresses: [parseIpv4(spoke(i))] },
        { name: 'up', ...link },
      ],
      routes: [{ prefix: prefixOf(parseIpv4('10.97.0.1'), 32), interface: 1 }],
    });
    const node = driver.addNode({ name: `s${i}`, router, host: 0, tunFd: spokeFds[i] });
    driver.addSpan({
      line: line(`l${i}.up`, i, 0, hubRouter.output(1 + i)),
      from: 0,
      fromInterface: 1 + i,
      to: node,
      toInterface: 1,
      link: i,
      direction: 0,
    });
    driver.addSpan({
      line: line(`l${i}.down`, i, 1, router.output(1)),
      from: node,
      fromInterface: 1,
      to: 0,
      toInterface: 1 + i,
      link: i,
      direction: 1,
    });
  }
  globalThis.gc?.();
  const after = process.memoryUsage();
  const perLink =
    (after.heapUsed + after.arrayBuffers - pool.arena.length - before.heapUsed - before.arrayBuffers) / LINKS;
  const realtime = native.setRealtimePriority(10);
  driver.start();

  const receiver = spawn('ip', ['netns', 'exec', far, probe, 'receive', '9000', String(1e9), '3000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  receiver.stdout.setEncoding('utf8');
  receiver.stdout.on('data', (chunk) => {
    text += chunk;
  });
  while (!text.includes('ready')) await once(receiver.stdout, 'data');
  const cpu = process.cpuUsage();
  const started = process.hrtime.bigint();
  // 5 datagrams of 100 octets a second and link: 5000 a second in all.
  const total = SECONDS * 5 * LINKS;
  const sender = spawn(
    'ip',
    [
      'netns',
      'exec',
      hub,
      probe,
      'spread',
      '10.98.0.0',
      '9000',
      String(total),
      String(Math.floor(1e9 / (5 * LINKS))),
      '100',
      String(LINKS),
    ],
    { stdio: 'inherit' },
  );
  await once(sender, 'exit');
  const used = process.cpuUsage(cpu);
  const wall = Number(process.hrtime.bigint() - started) / 1e9;
  await once(receiver, 'close');
  const errors = [];
  // 128 octets of IP, 4 of header, 2 of FCS: 1072 bits and a flag; stuffing adds a few, so the error is bounded from above.
  const expected = DELAY_MS * 1e6 + (1080 / RATE) * 1e9;
  for (const row of text.split('\n')) {
    const fields = row.split(' ');
    if (fields.length !== 3) continue;
    errors.push(Number(BigInt(fields[2]) - BigInt(fields[1])) - expected);
  }
  errors.sort((a, b) => a - b);
  const at = (q) => errors[Math.floor(q * (errors.length - 1))] / 1000;
  const result = {
    links: LINKS,
    realtime,
    datagrams: errors.length,
    sent: total,
    cores: (used.user + used.system) / 1e6 / wall,
    octetsPerIdleLink: Math.round(perLink),
    // Serialisation of the stuffed bits, about 26 µs each, is part of these.
    delayErrorMicroseconds: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), least: at(0) },
    lateness: (({ p50Microseconds, p99Microseconds, maximumMicroseconds }) => ({
      p50Microseconds,
      p99Microseconds,
      maximumMicroseconds,
    }))(driver.lateness.snapshot()),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  driver.stop();
} finally {
  for (const fd of fds) native.closeFd(fd);
  for (const name of made) ip(['netns', 'del', name]);
}
