import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonSchema, loadScenario, PRESET_NAMES, parseScenario, ScenarioError } from '../../../src/scenario/index.ts';

const MINIMAL = `
name: t
nodes:
  sc: { kind: spacecraft, address: 10.1.0.1 }
  gs: { kind: ground-station }
  cc: { kind: control-centre }
links:
  space: { between: [gs, sc], up: { rate: 9.6k, delay: 10ms }, down: { rate: 38.4k, delay: 10ms, ber: 4.5e-6 } }
networks:
  lan: { nodes: [gs, cc] }
`;

/** The problems of a scenario, as `line:column path message`. */
function problems(text: string): string[] {
  try {
    parseScenario(text, { file: 'f.yaml' });
  } catch (error) {
    expect(error).toBeInstanceOf(ScenarioError);
    return (error as ScenarioError).message.split('\n');
  }
  return [];
}

/** MINIMAL with more keys in its link. */
const withLink = (keys: string) => MINIMAL.replace('between: [gs, sc],', `between: [gs, sc], ${keys},`);

describe('a resolved scenario', () => {
  test('has every default', () => {
    const { nodes, links, networks, seed } = parseScenario(MINIMAL, { now: 0 });
    expect(seed).toBe(1);
    expect(links[0]).toMatchObject({
      from: 'gs',
      to: 'sc',
      encapsulation: { kind: 'frame-relay', dlci: 100 },
      fcs: 16,
      mtuOctets: 1500,
      flags: 'shared',
      lineCoding: [],
      up: { rateBitPerSecond: 9600, delay: 10e6, jitter: 0, noise: { kind: 'independent', ber: 0 } },
      down: { rateBitPerSecond: 38_400, noise: { ber: 4.5e-6 }, contacts: { kind: 'always' } },
      los: { inFlight: 'cut', queue: 'hold' },
    });
    expect(networks[0]).toMatchObject({ kind: 'veth', prefixes: ['192.168.1.0/24'] });
    const byName = Object.fromEntries(nodes.map((n) => [n.name, n]));
    expect(byName.gs!.addresses).toEqual(['10.0.0.1']);
    expect(byName.cc!.addresses).toEqual(['192.168.1.2']);
    expect(byName.cc!.kernelRoutes).toEqual([
      { prefix: '10.1.0.1/32', device: 'lan', via: '192.168.1.1', attributes: [] },
      { prefix: '10.0.0.1/32', device: 'lan', via: '192.168.1.1', attributes: [] },
    ]);
    expect(byName.sc!.routes).toEqual([
      { prefix: '10.1.0.1/32', preference: 0 },
      { prefix: '10.0.0.1/32', link: 'space', preference: 100 },
      { prefix: '192.168.1.0/24', link: 'space', preference: 100 },
    ]);
    expect(byName.sc!.tun).toEqual({ name: 'space0', mtuOctets: 1500, addresses: ['10.1.0.1/32'] });
  });

  test('survives JSON', () => {
    const scenario = parseScenario(withLink('preset: acts, contacts: { period: 97min, duration: 10min }'));
    expect(JSON.parse(JSON.stringify(scenario))).toEqual(scenario);
  });

  test("the queue's default fills rate × round trip, at least 20 packets", () => {
    const up = (preset: string) =>
      parseScenario(
        `name: t\nnodes: {a: {kind: host}, b: {kind: spacecraft}}\nlinks: {l: {between: [a, b], preset: ${preset}}}`,
      ).links[0]!.up.queueLimit.packets;
    expect(up('uosat12')).toBe(20);
    expect(up('acts')).toBe(Math.ceil((622.08e6 * 0.56) / 8 / 1500));
  });

  test.each(PRESET_NAMES)('preset %s builds, and its keys can be overridden', (preset) => {
    const text = `name: t\nnodes: {a: {kind: host}, b: {kind: spacecraft}}\nlinks: {l: {between: [a, b], preset: ${preset}, down: {ber: 1e-3}}}`;
    expect(parseScenario(text).links[0]!.down.noise).toEqual({ kind: 'independent', ber: 1e-3 });
  });

  test('time-lines, bursts, line codings and contacts', () => {
    const { links } = parseScenario(`
name: t
epoch: 2000-07-05T12:00:00Z
nodes: { a: { kind: ground-station }, b: { kind: spacecraft } }
links:
  l:
    between: [a, b]
    preset: leo-9600
    lineCoding: [ccsds-randomizer, nrzi]
    up: { ber: { burst: { goodBits: 50k, badBits: 100, badBer: 0.1 } }, contacts: [{ aos: 2000-07-05T11:55:00Z, los: 2000-07-05T12:05:00Z }] }
    down: { ber: { timeLine: [{ at: 0s, ber: 1e-6 }, { at: 5min, ber: 1e-5 }], cycle: 10min }, rate: [{ at: 0s, rate: 1k }, { at: 1s, rate: 2k }] }
    contacts: { plan: plan.json, from: 1, to: 2 }
`);
    const { up, down, lineCoding } = links[0]!;
    expect(lineCoding).toEqual(['ccsds-randomizer', 'nrzi']);
    expect(up.noise).toEqual({ kind: 'burst', goodBits: 50_000, badBits: 100, goodBer: 0, badBer: 0.1 });
    expect(up.contacts).toEqual({ kind: 'list', contacts: [{ aos: 0, los: 300e9 }] });
    expect(down.contacts).toMatchObject({ kind: 'plan', from: '2', to: '1' });
    expect(down.rateBitPerSecond).toBe(1000);
    expect(down.timeLines).toEqual([
      {
        key: 'rate',
        steps: [
          { at: 0, value: 1000 },
          { at: 1e9, value: 2000 },
        ],
      },
      {
        key: 'ber',
        steps: [
          { at: 0, value: 1e-6 },
          { at: 300e9, value: 1e-5 },
        ],
        cycle: 600e9,
      },
    ]);
  });

  test('a TCP stack of 2000 becomes sysctls and route attributes of the namespace', () => {
    const { nodes } = parseScenario(`${MINIMAL}tcp: { stack: 2000, maximumSegment: 512 }\n`);
    for (const node of nodes) {
      expect(node.sysctls).toMatchObject({
        'net.ipv4.tcp_sack': '0',
        'net.ipv4.tcp_recovery': '0',
        'net.ipv4.tcp_frto': '0',
        'net.ipv4.tcp_timestamps': '0',
      });
      for (const route of node.kernelRoutes)
        expect(route.attributes.join(' ')).toBe('congctl reno advmss 512 rto_min 1000ms initcwnd 2');
    }
  });
});

test('the stack of today is CUBIC; without a stack the kernel is as it is', () => {
  const attributes = (tcp: string) => parseScenario(`${MINIMAL}${tcp}`).nodes[0]!.routeAttributes.join(' ');
  expect(attributes('tcp: { stack: today }\n')).toBe('congctl cubic');
  expect(attributes('tcp: { stack: today, congestionControl: vegas }\n')).toBe('congctl vegas');
  expect(attributes('')).toBe('');
});

test('a receive window bounds the receive buffer, of which Linux announces 0.62 at most', () => {
  const [node] = parseScenario(`${MINIMAL}tcp: { receiveWindow: 8760 }\n`).nodes;
  expect(node!.routeAttributes.join(' ')).toBe('window 8760');
  const [least, usual, most] = node!.sysctls['net.ipv4.tcp_rmem']!.split(' ').map(Number);
  expect(most! * 0.62).toBeCloseTo(8760, -1);
  expect(usual).toBe(most);
  expect(least).toBeLessThanOrEqual(usual!);
  const [small] = parseScenario(`${MINIMAL}tcp: { receiveWindow: 512, bufferOctets: 1MB }\n`).nodes;
  expect(small!.sysctls['net.ipv4.tcp_rmem']).toBe('826 826 826');
});

describe('routes', () => {
  test('through a relay, and a second link as the alternate', () => {
    const { nodes } = parseScenario(`
name: t
nodes:
  sc: { kind: spacecraft }
  a: { kind: ground-station }
  b: { kind: ground-station }
  cc: { kind: control-centre }
  far: { kind: spacecraft }
links:
  first: { between: [a, sc], preset: uosat12 }
  second: { between: [b, sc], preset: uosat12, cost: 20 }
  cross: { between: [sc, far], preset: uosat12 }
networks:
  core: { nodes: [a, b, cc], prefix: 192.168.9.0/24 }
`);
    const of = (name: string) => nodes.find((n) => n.name === name)!;
    expect(of('sc').routes.filter((r) => r.prefix === '192.168.9.0/24')).toEqual([
      { prefix: '192.168.9.0/24', link: 'first', preference: 100 },
      { prefix: '192.168.9.0/24', link: 'second', preference: 101 },
    ]);
    const farAddress = `${of('far').addresses[0]}/32`;
    expect(of('cc').kernelRoutes.find((r) => r.prefix === farAddress)).toMatchObject({
      device: 'core',
      via: '192.168.9.1',
    });
    expect(of('a').routes.find((r) => r.prefix === farAddress)).toMatchObject({ link: 'first' });
    expect(of('sc').routes.find((r) => r.prefix === farAddress)).toMatchObject({ link: 'cross' });
  });

  test('a host carries nothing for others', () => {
    const { nodes } = parseScenario(`
name: t
nodes: { a: { kind: host }, b: { kind: host }, c: { kind: host } }
networks: { one: { nodes: [a, b] }, two: { nodes: [b, c] } }
`);
    expect(nodes[0]!.kernelRoutes).toEqual([]);
    expect(nodes[1]!.sysctls['net.ipv4.ip_forward']).toBe('0');
  });

  test("a mobile node's networks: the onboard LAN is nobody's by shortest path, the home LAN is entered by who stays there", () => {
    const { nodes } = parseScenario(`
name: t
nodes:
  sc: { kind: spacecraft, mobileNode: { homeAgent: 10.77.0.2, homeAddress: 10.9.0.5, security: { spi: 1000, key: 00112233445566778899aabbccddeeff } } }
  instrument: { kind: host }
  a: { kind: ground-station }
  ha: { kind: control-centre }
  far: { kind: router }
links: { first: { between: [a, sc], up: { rate: 1M, contacts: never }, down: { rate: 1M } } }
networks:
  onboard: { nodes: [sc, instrument], prefix: 10.200.5.0/24 }
  lan: { nodes: [ha, sc], prefix: 10.9.0.0/24, addresses: { sc: 10.9.0.5 } }
  core: { nodes: [a, far], prefix: 10.1.0.0/24 }
  internet: { nodes: [far, ha], prefix: 10.77.0.0/24 }
`);
    const kernel = (name: string, prefix: string) =>
      nodes.find((n) => n.name === name)!.kernelRoutes.find((r) => r.prefix === prefix);
    expect(kernel('a', '10.200.5.0/24')).toBeUndefined();
    expect(kernel('far', '10.9.0.0/24')).toMatchObject({ device: 'internet' });
    // Away, the home LAN is not where packets for it, or for what lies behind it, go.
    expect(kernel('sc', '10.77.0.0/24')).toBeUndefined();
    const own = nodes.find((n) => n.name === 'sc')!.routes.map(({ prefix }) => prefix);
    expect(own).toContain('10.200.5.0/24');
    expect(own).not.toContain('10.9.0.0/24');
  });

  test('explicit routes come first', () => {
    const { nodes } = parseScenario(
      MINIMAL.replace('sc: { kind: spacecraft,', 'sc: { kind: spacecraft, routes: [{ to: default, via: space }],'),
    );
    expect(nodes[0]!.routes[0]).toEqual({ prefix: '0.0.0.0/0', link: 'space', preference: 0 });
    expect(nodes[0]!.kernelRoutes[0]).toMatchObject({ prefix: '0.0.0.0/0', device: 'space0' });
  });

  test('every node reaches every address in random connected topologies, hop by hop without a loop', () => {
    const topology = fc.integer({ min: 2, max: 9 }).chain((n) =>
      fc.record({
        parents: fc.tuple(
          ...Array.from({ length: n - 1 }, (_, i) => fc.tuple(fc.integer({ min: 0, max: i }), fc.boolean())),
        ),
        extra: fc.array(fc.tuple(fc.nat(n - 1), fc.nat(n - 1)), { maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(topology, ({ parents, extra }) => {
        const joins = parents.map(([parent, space], i) => ({ a: parent, b: i + 1, space }));
        for (const [a, b] of extra) if (a !== b) joins.push({ a, b, space: true });
        const { nodes, links } = parseScenario(
          JSON.stringify({
            name: 't',
            nodes: Object.fromEntries(
              Array.from({ length: parents.length + 1 }, (_, i) => [`n${i}`, { kind: 'router' }]),
            ),
            links: Object.fromEntries(
              joins.flatMap((j, i) => (j.space ? [[`l${i}`, { between: [`n${j.a}`, `n${j.b}`], preset: 'geo' }]] : [])),
            ),
            networks: Object.fromEntries(
              joins.flatMap((j, i) => (j.space ? [] : [[`w${i}`, { nodes: [`n${j.a}`, `n${j.b}`] }]])),
            ),
          }),
        );
        for (const from of nodes)
          for (const to of nodes) {
            if (from === to) continue;
            let here = from;
            for (let hops = 0; here !== to; hops++) {
              expect(hops).toBeLessThan(nodes.length);
              here = nextHop(here, to.addresses[0]!);
            }
          }
        function nextHop(node: (typeof nodes)[number], address: string) {
          const attached = (n: typeof node) => n.interfaces.flatMap((i) => i.addresses.map((a) => a.split('/')[0]));
          const covers = (prefix: string) =>
            prefix === `${address}/32` || (prefix.endsWith('.0/24') && address.startsWith(prefix.slice(0, -4)));
          const route = node.kernelRoutes.find((r) => covers(r.prefix));
          if (route === undefined) {
            const neighbour = nodes.find((n) => attached(n).includes(address))!;
            expect(node.interfaces.some((i) => neighbour.interfaces.some((o) => o.network === i.network))).toBe(true);
            return neighbour;
          }
          if (route.via !== undefined) return nodes.find((n) => attached(n).includes(route.via))!;
          const link = links.find((l) => l.name === node.routes.find((r) => covers(r.prefix))!.link)!;
          return nodes.find((n) => n.name === (link.from === node.name ? link.to : link.from))!;
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('problems', () => {
  test('all of them at once, each with its line, column and path', () => {
    expect(
      problems(`name: Bad
nodes:
  sc: { kind: spacecraft, address: 10.0.0.300, clok: {} }
  gs: { kind: ground-staton }
links:
  space:
    between: [gs, sx]
    preset: uosat13
    up: { rate: 0, dealy: 10ms, delay: -5ms, queue: 20 }
    contacts:
      - { aos: 0s, los: 10min }
      - { aos: 5min, los: 20min }
extra: 1
`),
    ).toMatchInlineSnapshot(`
      [
        "f.yaml:1:7: name: a scenario name is made of lower-case letters, digits and hyphens and begins with a letter",
        "f.yaml:3:36: nodes.sc.address: '10.0.0.300' is not an IPv4 address",
        "f.yaml:3:48: nodes.sc.clok: unknown key 'clok'; did you mean 'clock'?",
        "f.yaml:4:15: nodes.gs.kind: 'ground-staton' is not one of spacecraft, ground-station, control-centre, host, router; did you mean 'ground-station'?",
        "f.yaml:7:19: links.space.between[1]: there is no node 'sx'; did you mean 'sc'?",
        "f.yaml:8:13: links.space.preset: 'uosat13' is not one of uosat12, leo-9600, candos, candos-tdrss, dmc, geo, acts, lunar, mars-4min, mars-24min; did you mean 'uosat12'?",
        "f.yaml:9:17: links.space.up.rate: a rate of zero never sends a bit; to close a link use contacts",
        "f.yaml:9:20: links.space.up.dealy: unknown key 'dealy'; did you mean 'delay'?",
        "f.yaml:9:40: links.space.up.delay: a time cannot be negative here (-5ms)",
        "f.yaml:9:53: links.space.up.queue: '20' could be packets or octets; write '20 packets' or a size such as 64KiB",
        "f.yaml:12:16: links.space.contacts[1].aos: this contact begins before the one above it ends: contacts must not overlap and stand in order",
        "f.yaml:13:1: extra: unknown key 'extra'; known here: name, description, seed, epoch, offloads, nodes, links, networks, tcp, classes",
      ]
    `);
  });

  test.each([
    ['contacts: [{ aos: 5min, los: 1min }]', /after `aos`/],
    ['contacts: [{ aos: 2000-07-05T12:00:00+02:00, los: 1min }]', /not UTC/],
    ['contacts: { period: 10min, duration: 10min }', /shorter than/],
    ['contacts: { tle: [a, b], station: { latitude: 0, longitude: 0 } }', /columns/],
    ['contacts: [], mtu: 1500', /never up/],
    ['mtu: 20', /between 68/],
    ['fcs: 24', /16 or 32/],
    ['dlci: 1', />=16/],
    ['framing: ppp, dlci: 17', /belongs to frame-relay/],
    ['lineCoding: nrz', /expected none|did you mean/],
  ])('%s', (keys, expected) => expect(problems(withLink(keys)).join('\n')).toMatch(expected));

  test('a rate must come from somewhere', () => {
    expect(problems(MINIMAL.replace('rate: 9.6k, ', ''))).toEqual([
      'f.yaml:8:35: links.space.up: `up.rate` is missing; give a rate or a preset',
    ]);
  });

  test('broken YAML has a line too', () => {
    expect(problems('name: [a\nnodes: {')[0]).toMatch(/^f.yaml:\d+:\d+: /);
    expect(problems('')[0]).toMatch(/^f.yaml:1:1: the key 'name' is missing/);
    expect(problems('- a')[0]).toMatch(/expected object/);
  });

  test('addresses are taken once, networks do not overlap', () => {
    expect(problems(MINIMAL.replace('ground-station }', 'ground-station, address: 10.1.0.1 }')).join()).toMatch(
      /taken by 'sc'/,
    );
    expect(problems(`${MINIMAL}  lan2: { nodes: [gs, cc], prefix: 192.168.1.0/25 }\n`).join()).toMatch(/overlaps/);
    expect(problems(MINIMAL.replace('nodes: [gs, cc]', 'nodes: [gs, cc], prefix: 192.168.1.1/24')).join()).toMatch(
      /host bits/,
    );
  });

  test('no text makes the loader throw anything but ScenarioError', () => {
    const words = fc.constantFrom(
      'name',
      'nodes',
      'links',
      'networks',
      'kind',
      'spacecraft',
      'up',
      'rate',
      'between',
      'x',
      '1',
      '-',
      'null',
      '[]',
      '&a',
      '*a',
      '{}',
    );
    const document = fc.oneof(
      fc.string(),
      fc
        .array(fc.tuple(fc.nat(6), words, words))
        .map((l) => l.map(([n, k, v]) => `${' '.repeat(n)}${k}: ${v}`).join('\n')),
      fc.json(),
    );
    fc.assert(
      fc.property(document, (text) => {
        expect(problems(text).length).toBeGreaterThan(0);
      }),
    );
  });
});

test('every scenario that comes with omni is valid', () => {
  const folder = new URL('../../../netns/scenarios/', import.meta.url);
  const files = readdirSync(folder).filter((f) => f.endsWith('.yaml'));
  expect(files).toContain('uosat12.yaml');
  for (const file of files) expect(loadScenario(new URL(file, folder).pathname).name).toBe(file.replace('.yaml', ''));
});

test('the JSON Schema describes every key', () => {
  const missing: string[] = [];
  const visit = (schema: Record<string, unknown>, path: string) => {
    for (const [key, value] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (
        value.description === undefined &&
        value.properties === undefined &&
        !/\.(at|name|ber|rate|delay|jitter)$/.test(`${path}.${key}`)
      )
        missing.push(`${path}.${key}`);
      visit(value, `${path}.${key}`);
    }
    for (const inner of [schema.additionalProperties, schema.items, ...((schema.anyOf ?? []) as unknown[])])
      if (typeof inner === 'object' && inner !== null) visit(inner as Record<string, unknown>, path);
  };
  visit(jsonSchema() as Record<string, unknown>, '');
  expect(missing).toEqual([]);
});
