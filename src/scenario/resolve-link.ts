/** A link of the file to a resolved one: preset, defaults, time-lines, contacts, the derived queue limit. */
import { isAbsolute, join } from 'node:path';
import type { LineCode } from '../channel/index.ts';
import { type Duration, minutes, seconds } from '../core/index.ts';
import { PRESETS, type Preset } from './presets.ts';
import type { Problem } from './problems.ts';
import type {
  ResolvedContacts,
  ResolvedDirection,
  ResolvedLink,
  ResolvedNoise,
  ResolvedQueueLimit,
  ResolvedTimeLine,
} from './resolved.ts';
import type { ScenarioContacts, ScenarioDirection, ScenarioLink } from './schema.ts';
import { parseDuration, parseRate } from './units.ts';

export const DEFAULT_MTU = 1500;
export const DEFAULT_DLCI = 100;
export const DEFAULT_HOLD_OCTETS = 1 << 20;
export const DEFAULT_HOLD_AGE = minutes(60);
const SMALLEST_QUEUE_PACKETS = 20;

/** What the resolver needs besides the link. */
export interface LinkContext {
  readonly directory: string;
  readonly epochMilliseconds: number;
  readonly problems: Problem[];
}

export function resolveLink(name: string, link: ScenarioLink, context: LinkContext): ResolvedLink {
  const preset: Preset | undefined = link.preset === undefined ? undefined : PRESETS[link.preset];
  const [from, to] = link.between;
  const kind = link.framing ?? 'frame-relay';
  const mtuOctets = link.mtu ?? DEFAULT_MTU;
  const shared = { link, preset, name, mtuOctets, from, to };
  const up = resolveDirection('up', shared, context);
  const down = resolveDirection('down', shared, context);
  if (kind !== 'frame-relay' && link.dlci !== undefined)
    context.problems.push({ path: ['links', name, 'dlci'], message: `a DLCI belongs to frame-relay, not to ${kind}` });
  return {
    name,
    ...(link.preset !== undefined && { preset: link.preset }),
    from,
    to,
    encapsulation: kind === 'frame-relay' ? { kind, dlci: link.dlci ?? DEFAULT_DLCI } : { kind },
    fcs: link.fcs ?? 16,
    mtuOctets,
    flags: link.flags ?? 'shared',
    lineCoding: lineCodes(link.lineCoding ?? preset?.lineCoding ?? 'none'),
    up: { ...up, queueLimit: queueLimit(link.up, up, down, mtuOctets) },
    down: { ...down, queueLimit: queueLimit(link.down, down, up, mtuOctets) },
    los: {
      inFlight: link.los?.inFlight ?? 'cut',
      queue: link.los?.queue ?? 'hold',
      holdOctets: link.los?.holdOctets ?? DEFAULT_HOLD_OCTETS,
      holdAge: link.los?.holdAge ?? DEFAULT_HOLD_AGE,
    },
    ntpCorrection: link.ntpCorrection ?? 'stamp',
    cost: link.cost ?? 10,
  };
}

const lineCodes = (coding: 'none' | LineCode | LineCode[]): LineCode[] =>
  coding === 'none' ? [] : Array.isArray(coding) ? coding : [coding];

interface Shared {
  readonly link: ScenarioLink;
  readonly preset: Preset | undefined;
  readonly name: string;
  readonly mtuOctets: number;
  readonly from: string;
  readonly to: string;
}

function resolveDirection(
  key: 'up' | 'down',
  shared: Shared,
  context: LinkContext,
): Omit<ResolvedDirection, 'queueLimit'> {
  const { link, preset, name } = shared;
  const given: ScenarioDirection = link[key] ?? {};
  const base = preset?.[key];
  const timeLines: ResolvedTimeLine[] = [];
  const contacts = resolveContacts(given.contacts ?? link.contacts, key, shared, context);
  const orbit = contacts.kind === 'orbit';
  const range = orbit || contacts.kind === 'plan';

  const rate = given.rate ?? (base === undefined ? undefined : must(parseRate(base.rate)));
  if (rate === undefined)
    context.problems.push({
      path: ['links', name, ...(link[key] === undefined ? [] : [key])],
      message: `\`${key}.rate\` is missing; give a rate or a preset`,
    });
  const followsRange = given.delay === 'slant-range' || (given.delay === undefined && range);
  if (given.delay === 'slant-range' && !range)
    context.problems.push({
      path: ['links', name, key, 'delay'],
      message: '`slant-range` needs contacts from a `tle`, or from a `plan` with ranges',
    });
  const delay =
    given.delay === 'slant-range' || given.delay === undefined
      ? base === undefined
        ? 0
        : must(parseDuration(base.delay))
      : given.delay;

  const noise = given.ber ?? base?.ber ?? 0;
  const geometric = typeof noise === 'object' && ('elevation' in noise || 'linkBudget' in noise);
  if (geometric && !orbit)
    context.problems.push({
      path: ['links', name, key, 'ber'],
      message: 'errors by elevation need contacts from a `tle`',
    });
  return {
    rateBitPerSecond: initial('rate', rate ?? 1e6, timeLines),
    delay: initial('delay', delay, timeLines) as Duration,
    jitter: initial('jitter', given.jitter ?? 0, timeLines) as Duration,
    noise: resolveNoise(noise, timeLines, context.directory),
    timeLines,
    delayFollowsSlantRange: followsRange,
    contacts,
  };
}

type Steps = readonly { at: number }[];
type Value<Key extends string> =
  | number
  | readonly ({ at: number } & Record<Key, number>)[]
  | { timeLine: readonly ({ at: number } & Record<Key, number>)[]; cycle: number };

/** The value at time zero; a time-line is noted beside it. */
function initial<Key extends ResolvedTimeLine['key']>(
  key: Key,
  value: Value<Key>,
  timeLines: ResolvedTimeLine[],
): number {
  if (typeof value === 'number') return value;
  const cyclic = 'timeLine' in value;
  const list: Steps = cyclic ? value.timeLine : value;
  const steps = list.map((step) => ({ at: step.at as Duration, value: (step as unknown as Record<Key, number>)[key] }));
  timeLines.push({ key, steps, ...(cyclic && { cycle: value.cycle as Duration }) });
  return steps[0]!.value;
}

function resolveNoise(
  noise: NonNullable<ScenarioDirection['ber']>,
  timeLines: ResolvedTimeLine[],
  directory: string,
): ResolvedNoise {
  if (typeof noise === 'object') {
    if ('burst' in noise) return { kind: 'burst', goodBer: 0, ...defined(noise.burst) };
    if ('file' in noise) return { kind: 'file', file: absolute(noise.file, directory) };
    if ('elevation' in noise)
      return { kind: 'elevation', table: [...noise.elevation].sort((a, b) => a.degrees - b.degrees) };
    if ('linkBudget' in noise)
      return {
        kind: 'link-budget',
        ebN0ZenithDecibels: noise.linkBudget.ebN0Zenith,
        codingGainDecibels: noise.linkBudget.codingGain ?? 0,
      };
  }
  return { kind: 'independent', ber: initial('ber', noise as Value<'ber'>, timeLines) };
}

function defined(burst: { goodBits: number; badBits: number; badBer: number; goodBer?: number | undefined }) {
  const { goodBer, ...rest } = burst;
  return goodBer === undefined ? rest : { ...rest, goodBer };
}

function resolveContacts(
  contacts: ScenarioContacts | 'never' | undefined,
  key: 'up' | 'down',
  shared: Shared,
  context: LinkContext,
): ResolvedContacts {
  if (contacts === undefined) return { kind: 'always' };
  if (contacts === 'never') return { kind: 'list', contacts: [] };
  if (Array.isArray(contacts)) {
    const list = contacts
      .map(({ aos, los }) => ({ aos: sinceStart(aos, context), los: sinceStart(los, context) }))
      // Contacts in UTC that are over, or under way, at the scenario's start.
      .filter(({ los }) => los > 0)
      .map(({ aos, los }) => ({ aos: Math.max(0, aos) as Duration, los: los as Duration }));
    return { kind: 'list', contacts: list };
  }
  if ('period' in contacts)
    return {
      kind: 'periodic',
      period: contacts.period,
      duration: contacts.duration,
      first: contacts.first ?? seconds(0),
    };
  if ('plan' in contacts) {
    const ends = [String(contacts.from ?? shared.from), String(contacts.to ?? shared.to)] as const;
    const [from, to] = key === 'up' ? ends : [ends[1], ends[0]];
    return { kind: 'plan', file: absolute(contacts.plan, context.directory), from, to };
  }
  const [one, two] = contacts.tle.slice(-2) as [string, string];
  return {
    kind: 'orbit',
    tle: [one, two],
    station: {
      latitudeDegrees: contacts.station.latitude,
      longitudeDegrees: contacts.station.longitude,
      altitudeMetres: contacts.station.altitude ?? 0,
    },
    maskDegrees: contacts.mask ?? 5,
  };
}

const sinceStart = (t: { sinceStart: number } | { utcMilliseconds: number }, context: LinkContext): number =>
  'sinceStart' in t ? t.sinceStart : (t.utcMilliseconds - context.epochMilliseconds) * 1e6;

/** The rule: the packets of one MTU that fill the highest rate × the longest round trip, and at least 20. */
function queueLimit(
  given: ScenarioDirection | undefined,
  own: Omit<ResolvedDirection, 'queueLimit'>,
  other: Omit<ResolvedDirection, 'queueLimit'>,
  mtuOctets: number,
): ResolvedQueueLimit {
  if (given?.queue !== undefined) return given.queue;
  const roundTripSeconds = (highest(own, 'delay', own.delay) + highest(other, 'delay', other.delay)) / 1e9;
  const octetsOnTheWay = (highest(own, 'rate', own.rateBitPerSecond) * roundTripSeconds) / 8;
  const packets = Math.max(SMALLEST_QUEUE_PACKETS, Math.ceil(octetsOnTheWay / mtuOctets));
  return { packets, derived: `max(${SMALLEST_QUEUE_PACKETS} packets, rate × round trip ÷ MTU)` };
}

function highest(direction: Pick<ResolvedDirection, 'timeLines'>, key: ResolvedTimeLine['key'], value: number): number {
  const line = direction.timeLines.find((t) => t.key === key);
  return line === undefined ? value : Math.max(...line.steps.map((s) => s.value));
}

const absolute = (file: string, directory: string): string => (isAbsolute(file) ? file : join(directory, file));

function must<Value>(parsed: { ok: true; value: Value } | { ok: false; reason: string }): Value {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}
