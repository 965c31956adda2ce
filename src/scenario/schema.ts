/**
 * What a scenario file may say. This one schema gives the types, the validation, the JSON Schema for editors
 * (`omni validate --print-schema`) and, through a test, the completeness of docs/man/omni-scenario.5.md.
 * Quantities come out in base units (bit/s, nanoseconds, octets); resolve.ts fills in defaults and checks what spans keys.
 */
import { z } from 'zod';
import { ntpCorrectionMode } from '../apps/ntp/config.ts';
import { contacts } from './contacts-schema.ts';
import { PRESET_NAMES } from './presets.ts';
import {
  bitErrorRate,
  bits,
  decibels,
  degrees,
  duration,
  ipv4,
  ipv4Prefix,
  ipv6,
  ipv6Prefix,
  octets,
  queueLimit,
  rate,
  signedDuration,
  utc,
} from './quantities.ts';
import { SERVICE_SETTINGS } from './service-settings.ts';

const NAME = /^[a-z][a-z0-9-]*$/;
const name = (what: string, longest: number) =>
  z
    .string()
    .regex(NAME, `${what} is made of lower-case letters, digits and hyphens and begins with a letter`)
    .max(longest, `${what} has at most ${longest} characters`);

/** A value, a time-line of values, or a time-line that repeats. */
function overTime<Key extends string, Value extends z.ZodType>(key: Key, value: Value) {
  const step = z.strictObject({
    at: duration().meta({ description: "From when on, since the scenario's start or the cycle's." }),
    [key]: value,
  } as { at: ReturnType<typeof duration> } & Record<Key, Value>);
  const steps = z
    .array(step)
    .min(1, 'a time-line needs at least one entry')
    .superRefine((list, context) => {
      for (const [i, { at }] of (list as { at: number }[]).entries()) {
        const before = (list as { at: number }[])[i - 1];
        if (i === 0 && at !== 0)
          context.addIssue({ code: 'custom', path: [0, 'at'], message: 'a time-line begins at 0s' });
        if (before !== undefined && at <= before.at)
          context.addIssue({ code: 'custom', path: [i, 'at'], message: 'the times of a time-line must increase' });
      }
    });
  return z.union(
    [
      value,
      steps,
      z
        .strictObject({
          timeLine: steps.meta({ description: 'The steps.' }),
          cycle: duration().meta({ description: 'After this time the time-line begins again.' }),
        })
        .superRefine(({ timeLine, cycle }, context) => {
          const last = (timeLine as { at: number }[]).at(-1);
          if (last !== undefined && cycle <= last.at)
            context.addIssue({ code: 'custom', path: ['cycle'], message: '`cycle` must be longer than the last `at`' });
        }),
    ],
    { error: `expected one value, a time-line [{ at: 0s, ${key}: … }] or { timeLine, cycle }` },
  );
}

const burst = z
  .strictObject({
    burst: z.strictObject({
      goodBits: bits().meta({ description: 'Mean length of a good stretch, in bits.' }),
      badBits: bits().meta({ description: 'Mean length of a bad stretch, in bits.' }),
      goodBer: bitErrorRate().optional().meta({ description: 'Bit error rate in a good stretch. Default 0.' }),
      badBer: bitErrorRate().meta({ description: 'Bit error rate in a bad stretch.' }),
    }),
  })
  .meta({ description: 'Gilbert-Elliott: good and bad stretches of geometric length.' });

const fromFile = z.strictObject({
  file: z
    .string()
    .min(1)
    .meta({ description: 'Positions of bit errors, one a line, increasing; relative to the scenario.' }),
});

const fromElevation = z.strictObject({
  elevation: z
    .array(z.strictObject({ degrees: degrees().meta({ description: 'Elevation.' }), ber: bitErrorRate() }))
    .min(2, 'a table needs at least two elevations')
    .meta({ description: 'Bit error rate by elevation, interpolated in its logarithm; needs contacts from `tle`.' }),
});

const fromLinkBudget = z.strictObject({
  linkBudget: z.strictObject({
    ebN0Zenith: decibels().meta({ description: 'Eb/N0 at zenith; free-space loss does the rest (BPSK).' }),
    codingGain: decibels().optional().meta({ description: 'Added to Eb/N0. Default 0dB.' }),
  }),
});

const noise = z
  .union([overTime('ber', bitErrorRate()), burst, fromFile, fromElevation, fromLinkBudget], {
    error: 'expected a bit error rate, a time-line, {burst}, {file}, {elevation} or {linkBudget}',
  })
  .meta({ description: 'Bit errors. Default 0.' });

const slantRange = z.literal('slant-range', { error: "expected a time such as 10ms, or 'slant-range'" });
const direction = z
  .strictObject({
    rate: overTime('rate', rate()).optional().meta({ description: 'Serial rate; every bit on the wire counts.' }),
    delay: z
      .union([overTime('delay', duration().refine(atMost(24 * 60e9), 'the longest delay is 24min')), slantRange])
      .optional()
      .meta({
        description: 'Propagation delay, 0 to 24min; `slant-range` follows the elements, or the plan, of `contacts`.',
      }),
    jitter: overTime('jitter', duration())
      .optional()
      .meta({ description: 'Largest extra delay; frames keep their order. Default 0.' }),
    ber: noise.optional(),
    queue: queueLimit()
      .optional()
      .meta({ description: 'Transmit queue. Default: the packets that fill rate × round trip, at least 20.' }),
    contacts: z
      .union([z.literal('never'), contacts()], {
        error: 'expected contacts: never, a list of {aos, los}, {period, duration}, {plan} or {tle, station}',
      })
      .optional()
      .meta({ description: "When this direction is up, in place of the link's contacts; `never`: a one-way link." }),
  })
  .meta({ description: 'One direction of a link.' });

function atMost(limit: number) {
  return (value: unknown): boolean => typeof value !== 'number' || value <= limit;
}

const hold = z
  .union([
    z.literal('off'),
    z.strictObject({
      octets: octets().optional().meta({ description: 'At most so much. Default 1MiB.' }),
      age: duration().optional().meta({ description: 'At most so long. Default 1h.' }),
      storage: z.enum(['memory', 'disk']).optional().meta({ description: 'Disk survives a restart. Default memory.' }),
    }),
  ])
  .meta({ description: 'Packets wait for the next contact; `off` drops them when the link is down.' });

const oneOrMore = <Item extends z.ZodType>(item: Item) => z.union([item, z.array(item).min(1)]);
const ipProtocol = z.union([
  z.enum(['icmp', 'igmp', 'ipInIp', 'tcp', 'udp', 'gre', 'icmpv6']),
  z.int().min(0).max(255),
]);

const trafficClass = z
  .strictObject({
    name: name('a class name', 24),
    match: z
      .array(
        z.strictObject({
          protocol: oneOrMore(ipProtocol).optional().meta({ description: 'IP protocol, by name or number.' }),
          port: oneOrMore(z.int().min(1).max(65_535))
            .optional()
            .meta({ description: 'UDP or TCP port, source or destination.' }),
          dscp: oneOrMore(z.int().min(0).max(63))
            .optional()
            .meta({ description: 'Differentiated services code point.' }),
          address: oneOrMore(z.union([ipv4(), ipv4Prefix(), ipv6(), ipv6Prefix()]))
            .optional()
            .meta({ description: 'Source or destination, an address or a prefix.' }),
        }),
      )
      .optional()
      .meta({ description: 'Packets that fit one entry in all its keys; without it, all that is left.' }),
    priority: z.int().min(0).max(15).optional().meta({
      description: '0 is served first; classes of one priority share by weight. Default: the place in the list.',
    }),
    weight: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .meta({ description: 'Share among classes of one priority. Default 1.' }),
    queue: queueLimit().optional().meta({ description: "The class's own limit. Default: the link's." }),
    drop: z
      .enum(['tail', 'codel'])
      .optional()
      .meta({ description: 'How a queue that grows is kept short. Default tail.' }),
    codelTarget: duration().optional().meta({ description: 'Default 5ms, or one full packet if longer.' }),
    codelInterval: duration().optional().meta({ description: 'Default 100ms, or twice the target if longer.' }),
    ecn: z
      .boolean()
      .optional()
      .meta({ description: 'CoDel marks ECN-capable packets instead of dropping them. Default false.' }),
    staleAfter: duration().optional().meta({ description: 'Drop what waited longer. Default: never.' }),
    hold: hold.optional(),
  })
  .meta({ description: 'One class of service.' });

const classes = z.array(trafficClass).min(1).max(16);

const LINE_CODES = ['nrzi', 'g3ruh', 'ccsds-randomizer'] as const;
const lineCode = z.enum(LINE_CODES);

const link = z
  .strictObject({
    between: z
      .tuple([z.string(), z.string()], { error: 'expected two node names: [ground, space]' })
      .meta({ description: 'The two ends: `up` is from the first to the second, `down` the way back.' }),
    preset: z.enum(PRESET_NAMES).optional().meta({ description: 'A known link that fills in what is left out.' }),
    framing: z
      .enum(['frame-relay', 'cisco-hdlc', 'ppp'])
      .optional()
      .meta({ description: 'Default frame-relay (RFC 2427).' }),
    dlci: z
      .int()
      .min(16)
      .max(991)
      .optional()
      .meta({ description: 'Data link connection identifier, 16 to 991. Default 100.' }),
    fcs: z
      .union([z.literal(16), z.literal(32)], { error: '`fcs` is 16 or 32' })
      .optional()
      .meta({ description: 'Bits of the frame check sequence. Default 16.' }),
    mtu: octets()
      .refine((v) => v >= 68 && v <= 65_535, 'an MTU lies between 68 and 65535 octets')
      .optional()
      .meta({ description: 'Largest IP packet, 68 to 65535 octets. Default 1500.' }),
    flags: z
      .enum(['shared', 'separate'])
      .optional()
      .meta({ description: 'One flag between two frames, or two. Default shared.' }),
    lineCoding: z
      .union([z.literal('none'), lineCode, z.array(lineCode).min(1)], {
        error: `expected none, ${LINE_CODES.join(', ')} or a list of them`,
      })
      .optional()
      .meta({ description: 'Between framer and channel; of a list, the first is applied first. Default none.' }),
    up: direction.optional().meta({ description: 'The forward direction.' }),
    down: direction.optional().meta({ description: 'The return direction.' }),
    contacts: contacts().optional(),
    ntpCorrection: ntpCorrectionMode.optional(),
    los: z
      .strictObject({
        inFlight: z
          .enum(['cut', 'arrive'])
          .optional()
          .meta({ description: 'Bits on their way at loss of signal. Default cut.' }),
        queue: z
          .enum(['hold', 'drop'])
          .optional()
          .meta({ description: 'What waits for the transmitter. Default hold.' }),
        holdOctets: octets().optional().meta({ description: 'Hold at most so much. Default 1MiB.' }),
        holdAge: duration().optional().meta({ description: 'Hold at most so long. Default 1h.' }),
      })
      .optional()
      .meta({ description: 'What happens when a contact ends.' }),
    cost: z.int().min(1).max(65_535).optional().meta({ description: 'For the choice of routes. Default 10.' }),
  })
  .meta({ description: 'A space link: HDLC over a channel.' });

const tcp = z
  .strictObject({
    stack: z
      .union([z.literal(2000).transform(() => '2000' as const), z.enum(['2000', 'rfc2488', 'today', 'bbr'])], {
        error: "`stack` is one of '2000', 'rfc2488', 'today', 'bbr'",
      })
      .optional()
      .meta({ description: 'A named set of the keys below; `today` is CUBIC. Default: the kernel as it is.' }),
    congestionControl: z
      .string()
      .regex(/^[a-z0-9_]+$/)
      .optional()
      .meta({
        description:
          'Any that this kernel has (net.ipv4.tcp_available_congestion_control), on every route of the node.',
      }),
    sack: z.boolean().optional().meta({ description: 'Selective acknowledgement (RFC 2018).' }),
    rack: z.boolean().optional().meta({ description: 'RACK-TLP loss detection (RFC 8985).' }),
    frto: z.boolean().optional().meta({ description: 'Forward RTO recovery (RFC 5682).' }),
    timestamps: z.boolean().optional().meta({ description: 'Timestamps (RFC 7323).' }),
    windowScaling: z.boolean().optional().meta({ description: 'Window scaling (RFC 7323).' }),
    ecn: z.boolean().optional().meta({ description: 'Explicit congestion notification (RFC 3168).' }),
    minimumRto: duration().optional().meta({ description: 'Smallest retransmission time-out; RFC 6298 says 1s.' }),
    initialWindow: z.int().min(1).max(1000).optional().meta({ description: 'In segments.' }),
    maximumSegment: octets()
      .refine((v) => v >= 88 && v <= 65_495, 'a maximum segment lies between 88 and 65495 octets')
      .optional()
      .meta({ description: 'Largest segment that is announced, 88 octets or more.' }),
    receiveWindow: octets()
      .refine((v) => v >= 512 && v <= 2 ** 30, 'a receive window lies between 512 octets and 1GiB')
      .optional()
      .meta({
        description:
          'Largest window that is announced; small ones were usual before 2000, e.g. 8760. Linux announces 0.7 to 1 of it, less with small segments.',
      }),
    bufferOctets: octets().optional().meta({ description: 'Largest send and receive buffer.' }),
  })
  .meta({ description: "TCP of the node's kernel, in its namespace only." });

const clock = z
  .strictObject({
    offset: signedDuration().optional().meta({ description: 'How far ahead of true time it starts. Default 0s.' }),
    driftPpm: z
      .number()
      .min(-500)
      .max(500)
      .optional()
      .meta({ description: 'Frequency error in parts per million. Default 0.' }),
    temperaturePpm: z
      .number()
      .min(0)
      .max(100)
      .optional()
      .meta({ description: 'Amplitude of a sine in the frequency, ppm. Default 0.' }),
    temperaturePeriod: duration().optional().meta({ description: 'Period of that sine. Default 95min, an orbit.' }),
    randomWalkPpm: z
      .number()
      .min(0)
      .max(10)
      .optional()
      .meta({ description: 'Random walk of the frequency, ppm after one hour. Default 0.' }),
    tick: duration().optional().meta({ description: 'Resolution; 10ms on UoSAT-12. Default 0: none.' }),
  })
  .meta({ description: "The node's software clock. Without it the node has the host's time." });

const route = z
  .strictObject({
    to: z.string().meta({ description: 'A node, a prefix, or `default`.' }),
    via: z.string().meta({ description: 'A link of this node, or a neighbour.' }),
    preference: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .meta({ description: 'Lower is better. Default 0, before computed routes.' }),
  })
  .meta({ description: 'A route beside the computed ones.' });

const optionalServices = Object.fromEntries(
  Object.entries(SERVICE_SETTINGS).map(([key, schema]) => [key, schema.optional()]),
) as { [Key in keyof typeof SERVICE_SETTINGS]: z.ZodOptional<(typeof SERVICE_SETTINGS)[Key]> };

const node = z
  .strictObject({
    kind: z
      .enum(['spacecraft', 'ground-station', 'control-centre', 'host', 'router'])
      .meta({ description: 'What it is.' }),
    address: ipv4().optional().meta({ description: 'Its address on space links. Default: the next of 10.0.0.0/16.' }),
    address6: ipv6().optional().meta({ description: 'The same in IPv6. Default: none.' }),
    clock: clock.optional(),
    tcp: tcp.optional(),
    sysctl: z
      .record(
        z.string().regex(/^net\.[a-z0-9_.-]+$/i, 'only sysctls that begin with net. belong to a namespace'),
        z.union([z.string(), z.number()]),
      )
      .optional()
      .meta({ description: "Settings of the node's kernel under net., applied last." }),
    classes: classes
      .optional()
      .meta({ description: "Classes of service of the node's router. Default: the scenario's." }),
    routes: z.array(route).optional().meta({ description: 'Routes beside the computed ones.' }),
    ...optionalServices,
  })
  .meta({ description: 'A node: one network namespace.' });

const network = z
  .strictObject({
    nodes: z
      .array(z.string())
      .min(2, 'a network joins at least two nodes')
      .meta({ description: 'Who is on it: two are joined by a veth pair, more by a bridge.' }),
    prefix: ipv4Prefix().optional().meta({ description: 'Default: 192.168.N.0/24, N counting the networks.' }),
    prefix6: ipv6Prefix().optional().meta({ description: 'The same in IPv6. Default: none.' }),
    addresses: z
      .record(z.string(), ipv4())
      .optional()
      .meta({ description: 'Address by node. Default: in order of `nodes`, from the first of the prefix.' }),
    mtu: octets()
      .refine((v) => v >= 68 && v <= 65_535, 'an MTU lies between 68 and 65535 octets')
      .optional()
      .meta({ description: 'Default 1500.' }),
    cost: z.int().min(1).max(65_535).optional().meta({ description: 'For the choice of routes. Default 1.' }),
  })
  .meta({ description: 'A terrestrial network.' });

export const scenarioSchema = z
  .strictObject({
    name: name('a scenario name', 32).meta({ description: 'Names the testbed; namespaces are NAME-NODE.' }),
    description: z.string().optional().meta({ description: 'For people.' }),
    seed: z
      .union([z.int(), z.string()], { error: 'expected a whole number or a word' })
      .optional()
      .meta({ description: 'Of every random choice. Default 1.' }),
    epoch: utc().optional().meta({
      description: "UTC of the scenario's start, for contacts in UTC and from elements. Default: when it comes up.",
    }),
    offloads: z
      .boolean()
      .optional()
      .meta({ description: 'Let the kernel hand over TCP segments of up to 64 KiB for speed. Default false.' }),
    nodes: z.record(name('a node name', 32), node).meta({ description: 'By name.' }),
    links: z.record(name('a link name', 32), link).optional().meta({ description: 'Space links by name.' }),
    networks: z
      .record(name('a network name', 15), network)
      .optional()
      .meta({ description: 'Terrestrial networks by name; the name is the interface.' }),
    tcp: tcp.optional().meta({ description: 'TCP of every node that does not say otherwise.' }),
    classes: classes.optional().meta({
      description: "Classes of service of every router that does not say otherwise. Default: six, after OMNI's order.",
    }),
  })
  .meta({
    title: 'omni scenario',
    description: 'Nodes, the space links and networks between them, and what runs on them.',
  });

export type Scenario = z.output<typeof scenarioSchema>;
export type ScenarioInput = z.input<typeof scenarioSchema>;
export type ScenarioNode = Scenario['nodes'][string];
export type ScenarioLink = NonNullable<Scenario['links']>[string];
export type ScenarioDirection = NonNullable<ScenarioLink['up']>;
export type ScenarioNetwork = NonNullable<Scenario['networks']>[string];
export type ScenarioContacts = NonNullable<ScenarioLink['contacts']>;
export type ScenarioTcp = NonNullable<Scenario['tcp']>;
export type ScenarioClasses = NonNullable<Scenario['classes']>;

/** For editors: `# yaml-language-server: $schema=omni-scenario.schema.json` on a scenario's first line. */
export function jsonSchema(): unknown {
  return z.toJSONSchema(scenarioSchema, { io: 'input' });
}
