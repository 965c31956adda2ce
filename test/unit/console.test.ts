import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { metricsText } from '../../src/console/metrics.ts';
import { clock, short, topLines } from '../../src/console/top.ts';
import { type Instant, seconds } from '../../src/core/index.ts';
import { formatListenAddress, parseListenAddress, serveMetrics } from '../../src/io/metrics-server.ts';
import { DEFAULT_TRAFFIC_CLASSES, DROP_REASONS } from '../../src/router/index.ts';
import type { DaemonStatus } from '../../src/testbed/daemon.ts';
import { udp4 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

/** A spacecraft with a downlink that has sent, marked, dropped and waits; the ground station's side is of no interest. */
function status(uptimeSeconds: number, packets: number, inContact = true): DaemonStatus {
  const t = new TestRouter({
    interfaces: [
      { name: 'space0', kind: 'host', addresses: ['10.0.0.1'] },
      { name: 'space', kind: 'link', classes: DEFAULT_TRAFFIC_CLASSES, limit: { packets: 4 } },
    ],
    routes: [['192.0.2.0/24', 1]],
  });
  const send = (port: number, to = '192.0.2.1') => t.receive(udp4({ from: '10.0.0.1', to, destinationPort: port }), 0);
  for (let i = 0; i < packets; i++) send(i % 2 === 0 ? 123 : 9);
  t.now = seconds(0.3) as unknown as Instant;
  for (let i = 0; i < 3; i++) t.pool.release(t.router.output(1).dequeue(t.now)!);
  send(9, '198.51.100.1');
  const direction = (from: string, to: string, up: boolean) => ({
    from,
    to,
    up,
    rateBitPerSecond: 38_400,
    delayMilliseconds: 10,
    jitterMilliseconds: 0,
    noise: { kind: 'independent' as const, ber: 4.5e-6 },
    contact: { aosSeconds: 400, losSeconds: 900 },
    queueLimit: { packets: 4 },
    counters: {
      packetsIn: packets,
      octetsIn: 128 * packets,
      packetsOut: packets - 2,
      octetsOut: 128 * (packets - 2),
      packetsLost: 2,
      packetsInFlight: 0,
      bitsSent: 1080 * packets,
      bitErrors: 3,
      framesGood: packets - 2,
      framesFcsError: 2,
      'lost.fcs': 2,
    },
  });
  return {
    pid: 4711,
    realtime: true,
    scenario: { name: 'uosat12' } as DaemonStatus['scenario'],
    dataPlane: {
      scenario: 'uosat12',
      seed: 12,
      uptimeSeconds,
      lateness: {
        count: 900,
        overdue: 0,
        maximumMicroseconds: 142,
        p50Microseconds: 64,
        p99Microseconds: 128,
        buckets: [],
      },
      pool: { used: 70, capacity: 4096 },
      counters: {},
      alarms: [],
      links: [
        {
          name: 'space',
          from: 'surrey',
          to: 'spacecraft',
          encapsulation: 'frame-relay',
          fcs: 16,
          mtuOctets: 1500,
          up: direction('surrey', 'spacecraft', inContact),
          down: direction('spacecraft', 'surrey', inContact),
        },
      ],
      nodes: [{ name: 'spacecraft', router: t.router.snapshot(t.now) }, { name: 'surrey' }],
    },
    apps: [{ node: 'spacecraft', pid: 1, state: 'ended', reason: 'exit 1', services: {}, restarts: 2 }],
  } as unknown as DaemonStatus;
}

describe('omni top', () => {
  test('the view', () => {
    expect(topLines(status(598, 6), status(600, 14), { testbed: 'uosat12' })).toMatchInlineSnapshot(`
      [
        "uosat12  up 10:00  seed 12  daemon 4711",
        "on time: p99 128 us, at worst 142 us late               70 of 4096 packet slots",
        "",
        "LINK        WAY  CONTACT        RATE          LOAD GOODPUT       QUEUE    LOST",
        "space       up   LOS 5:00      38.4k [#.....]  11%    4.1k                   2",
        "  surrey > spacecraft lost: fcs 2",
        "space       down LOS 5:00      38.4k [#.....]  11%    4.1k    5 / 640B       2",
        "  spacecraft > surrey lost: queue-full 6 fcs 2",
        "",
        "LINK        WAY  CLASS                SENT WAITING  WAIT P99   LONGEST DROPPED",
        "space       down network-control         3       1    300 ms    300 ms       3",
        "space       down files                   0       4      0 ms      0 ms       3",
        "",
        "spacecraft: services ENDED (exit 1)",
      ]
    `);
  });

  test('no line is longer than the terminal, whatever the numbers and names', () => {
    const wide = status(1e6, 14);
    for (const link of wide.dataPlane.links as unknown as {
      name: string;
      down: { counters: Record<string, number> };
    }[]) {
      link.name = 'a-link-with-a-very-long-name';
      for (const reason of DROP_REASONS) link.down.counters[`lost.${reason}`] = 123_456_789;
    }
    for (const columns of [80, 40]) {
      const lines = topLines(status(1, 3), wide, { testbed: 'uosat12', columns });
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
  });

  test('out of contact it counts down to AOS; an alarm and a dead app process are shown', () => {
    const now = status(333, 6, false);
    (now.dataPlane as { alarms: unknown }).alarms = [{ where: 'space.down: line', missing: 2 }];
    const text = topLines(undefined, now, { testbed: 'x' }).join('\n');
    expect(text).toContain('AOS 1:07');
    expect(text).toContain('ALARM  space.down: line: 2 packets unaccounted for');
    expect(text).toContain('spacecraft: services ENDED (exit 1)');
  });

  test('numbers', () => {
    expect([0, 9.87, 999, 1000, 12_345, 999_499, 999_500, 1e9].map(short)).toEqual([
      '0',
      '9.9',
      '999',
      '1k',
      '12.3k',
      '999k',
      '1M',
      '1G',
    ]);
    expect([0, 59.6, 61, 3600, 86_399].map(clock)).toEqual(['0:00', '1:00', '1:01', '1:00:00', '23:59:59']);
  });
});

describe('metrics', () => {
  const text = metricsText('uosat12', status(600, 14));
  const lines = text.trimEnd().split('\n');
  const families = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2]!);

  test('the text format: HELP, TYPE, then all samples of the family, once', () => {
    let family = '';
    const seen = new Set<string>();
    for (const line of lines) {
      const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
      if (comment !== null) {
        if (comment[1] === 'HELP') expect(families).toContain(comment[2]);
        else expect(['counter', 'gauge', 'histogram']).toContain(comment[3]);
        family = comment[2]!;
        continue;
      }
      const sample = /^([a-z0-9_]+)\{([a-z_]+="[^"\\]*"(?:,[a-z_]+="[^"\\]*")*)\} (-?[0-9.e+-]+|\+Inf|NaN)$/.exec(line);
      expect(sample, line).not.toBeNull();
      expect(sample![1]!.replace(/_(bucket|sum|count)$/, '')).toBe(family);
      expect(seen, line).not.toContain(`${sample![1]}{${sample![2]}`);
      seen.add(`${sample![1]}{${sample![2]}`);
    }
    expect(new Set(families).size).toBe(families.length);
    for (const counter of lines.filter((line) => / counter$/.test(line))) expect(counter).toMatch(/_total counter$/);
  });

  test('histograms are cumulative and end at their count', () => {
    const wait = lines.filter((line) => line.startsWith('omni_queue_wait_seconds') && line.includes('network-control'));
    const counts = wait.filter((line) => line.includes('_bucket')).map((line) => Number(line.split(' ').at(-1)));
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBe(3);
    // 300 ms lies between 262.144 ms and 1.048576 s.
    expect(counts.filter((count) => count === 0).length).toBe(7);
    expect(wait.find((line) => line.includes('_sum'))).toMatch(/ 0\.9$/);
  });

  test('every metric and every reason is in docs/metrics.md', () => {
    const documented = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    for (const family of families) expect(documented).toContain(`\`${family}\``);
    for (const reason of DROP_REASONS) expect(documented).toContain(`\`${reason}\``);
  });

  test('label values are escaped', () => {
    expect(metricsText('a"b\\c\nd', status(1, 3))).toContain('omni_uptime_seconds{testbed="a\\"b\\\\c\\nd"} 1');
  });
});

describe('metrics over HTTP', () => {
  test.each([
    ['9477', '127.0.0.1:9477'],
    [':9477', '127.0.0.1:9477'],
    ['0.0.0.0:1', '0.0.0.0:1'],
    ['[::1]:9477', '[::1]:9477'],
    ['localhost:80', 'localhost:80'],
  ])('%s', (text, formatted) => expect(formatListenAddress(parseListenAddress(text)!)).toBe(formatted));
  test.each(['', 'localhost', '::1:9477', '1.2.3.4:99999', '1.2.3.4:', 'a b:1:2'])('refuses %j', (text) =>
    expect(parseListenAddress(text)).toBeUndefined(),
  );

  test('/metrics and nothing else; a failure is an answer; a taken port is one clear error', async () => {
    let broken = false;
    const render = () => {
      if (broken) throw new Error('no status');
      return 'omni_info 1\n';
    };
    const { server, address } = await serveMetrics({ host: '127.0.0.1', port: 0 }, 'text/plain', render);
    try {
      const url = `http://127.0.0.1:${address.port}`;
      const page = await fetch(`${url}/metrics?x=1`);
      expect([page.status, await page.text()]).toEqual([200, 'omni_info 1\n']);
      expect((await fetch(`${url}/../etc/passwd`)).status).toBe(404);
      expect((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status).toBe(405);
      broken = true;
      expect((await fetch(`${url}/metrics`)).status).toBe(500);
      await expect(serveMetrics(address, 'text/plain', render)).rejects.toMatchObject({ code: 'OMNI_METRICS_LISTEN' });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('Mobile IP', () => {
  const common = { messages: { requests: 3, accepted: 2, 'denied.133': 1 }, history: [] };
  const services = {
    spacecraft: {
      mobileNode: {
        ...common,
        homeAddress: '10.9.0.5',
        state: 'registered',
        registration: {
          link: 'space-dryden',
          careOfAddress: '10.3.0.2',
          coLocated: false,
          udpTunnel: false,
          remainingSeconds: 590,
        },
        registrations: 2,
        registrationLatencyMs: { minimum: 40, median: 45.5, maximum: 718 },
        recent: [],
        tunnel: {},
      },
    },
    dryden: {
      foreignAgent: {
        ...common,
        careOfAddress: '10.3.0.2',
        held: 4,
        visitors: [{ homeAddress: '10.9.0.5', homeAgent: '10.0.0.1', link: 'space-dryden', remainingSeconds: 590 }],
        tunnel: { 'delivered.packets': 1200, 'delivered.octets': 90_000, 'drop.no-visitor': 2, 'drop.hold-full': 1 },
      },
    },
    wallops: { foreignAgent: { ...common, careOfAddress: '10.1.0.2', held: 0, visitors: [], tunnel: {} } },
    goddard: {
      homeAgent: {
        ...common,
        address: '10.0.0.1',
        homeNetwork: '10.9.0.0/24',
        bindings: [{}],
        tunnel: { 'tunnelled.packets': 1207 },
      },
    },
    ground: { ftp: {} },
  };
  const apps = Object.entries(services).map(([node, of]) => ({
    node,
    pid: 1,
    state: 'running',
    restarts: 0,
    services: of,
  }));
  const now = { ...status(600, 14), apps } as unknown as DaemonStatus;

  test('in omni top: the mobile node, the home agent, and the stations that have a visitor', () => {
    const lines = topLines(undefined, now, { testbed: 'candos' });
    expect(lines.slice(lines.indexOf('MOBILE IP'))).toEqual([
      'MOBILE IP',
      'spacecraft  registered by space-dryden at 10.3.0.2; 2 registered in 45.5 ms',
      'dryden      1 visitor, holds 4; in 0, out 1.2k, dropped 3',
      'goddard     1 binding; in 1.21k, out 0, dropped 0',
      '',
    ]);
    expect(topLines(undefined, status(600, 14), { testbed: 'uosat12' })).not.toContain('MOBILE IP');
  });
  test('in the metrics, each documented', () => {
    const text = metricsText('candos', now);
    for (const line of [
      'omni_mobileip_registered{testbed="candos",node="spacecraft"} 1',
      'omni_mobileip_registration_seconds{testbed="candos",node="spacecraft",quantile="0.5"} 0.0455',
      'omni_mobileip_bindings{testbed="candos",node="goddard"} 1',
      'omni_mobileip_visitors{testbed="candos",node="dryden"} 1',
      'omni_mobileip_held_packets{testbed="candos",node="dryden"} 4',
      'omni_mobileip_messages_total{testbed="candos",node="goddard",agent="home",event="denied.133"} 1',
      'omni_mobileip_tunnel_packets_total{testbed="candos",node="goddard",agent="home",way="tunnelled"} 1207',
      'omni_mobileip_tunnel_octets_total{testbed="candos",node="dryden",agent="foreign",way="delivered"} 90000',
      'omni_mobileip_tunnel_dropped_packets_total{testbed="candos",node="dryden",agent="foreign",reason="hold-full"} 1',
    ])
      expect(text).toContain(`${line}\n`);
    const documented = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    for (const [, family] of text.matchAll(/^# TYPE (\S+)/gm)) expect(documented).toContain(`\`${family}\``);
  });
});
