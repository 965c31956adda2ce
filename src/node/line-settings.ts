/** What a resolved scenario says of one direction of a link, in the channel's terms. */
import {
  ALWAYS,
  type Carrier,
  ContactList,
  type LineSettings,
  type NoiseConfig,
  type Step,
  type Stepped,
  Timeline,
  type Varying,
} from '../channel/index.ts';
import type { Instant } from '../core/index.ts';
import { ciscoHdlc, type Encapsulation, frameRelay, ppp } from '../hdlc/index.ts';
import type {
  ResolvedContacts,
  ResolvedDirection,
  ResolvedLink,
  ResolvedNoise,
  ResolvedTimeLine,
} from '../scenario/resolved.ts';

/**
 * "Unlimited" in a scenario. More than the data path carries, and slow enough that bit indices stay exact for ten days.
 */
export const FASTEST_BIT_PER_SECOND = 1e10;

/** What must be computed or read from files before the pure channel can have it. */
export interface Geometry {
  readonly carrier: Carrier;
  /** Nanoseconds of propagation along the slant range. */
  readonly delay: Varying<number>;
  /** Elevation in degrees; negative below the horizon. */
  readonly elevation: Varying<number>;
  /** Nanoseconds of propagation from overhead at the orbit's mean height. */
  readonly zenithDelay: number;
}

export interface LineSources {
  /** Bit positions in a recorded error file. */
  readErrorFile(file: string): readonly number[];
  /** Contacts of an imported plan. */
  readContactPlan(file: string, from: string, to: string): Carrier;
  /** Nanoseconds of propagation by the plan's ranges; undefined when it has none for this direction. */
  readPlanDelay(file: string, from: string, to: string): Varying<number> | undefined;
  /** Passes, slant range and elevation from two-line elements. */
  computeOrbit(orbit: Extract<ResolvedContacts, { kind: 'orbit' }>): Geometry;
  /** Errors that follow the elevation. */
  noiseByElevation(
    noise: Extract<ResolvedNoise, { kind: 'elevation' | 'link-budget' }>,
    geometry: Geometry,
  ): Stepped<NoiseConfig>;
}

export function encapsulationOf(link: ResolvedLink): Encapsulation {
  switch (link.encapsulation.kind) {
    case 'frame-relay':
      return frameRelay(link.encapsulation.dlci === undefined ? {} : { dlci: link.encapsulation.dlci });
    case 'cisco-hdlc':
      return ciscoHdlc();
    case 'ppp':
      return ppp();
  }
}

export function lineSettingsOf(
  direction: ResolvedDirection,
  sources: LineSources,
): { readonly settings: LineSettings; readonly carrier: Carrier } {
  const { contacts, noise } = direction;
  const geometry = contacts.kind === 'orbit' ? sources.computeOrbit(contacts) : undefined;
  const rate = over(direction, 'rate', direction.rateBitPerSecond, (value) => Math.min(value, FASTEST_BIT_PER_SECOND));
  const range =
    contacts.kind === 'plan' ? sources.readPlanDelay(contacts.file, contacts.from, contacts.to) : geometry?.delay;
  const delay: Varying<number> =
    direction.delayFollowsSlantRange && range !== undefined
      ? range
      : over(direction, 'delay', direction.delay, identity);
  return {
    settings: {
      rate,
      delay,
      jitter: over(direction, 'jitter', direction.jitter, identity),
      noise: noiseOf(direction, noise, geometry, sources),
    },
    carrier: geometry?.carrier ?? carrierOf(contacts, sources),
  };
}

function noiseOf(
  direction: ResolvedDirection,
  noise: ResolvedNoise,
  geometry: Geometry | undefined,
  sources: LineSources,
): Stepped<NoiseConfig> {
  switch (noise.kind) {
    case 'independent':
      return over(direction, 'ber', noise.ber, (ber): NoiseConfig => ({ kind: 'independent', ber }));
    case 'burst':
      return Timeline.constant<NoiseConfig>(noise);
    case 'file':
      return Timeline.constant<NoiseConfig>({
        kind: 'recorded',
        positions: sources.readErrorFile(noise.file),
        periodBits: 0,
      });
    case 'elevation':
    case 'link-budget':
      // The scenario's check has made sure that such noise comes with an orbit.
      return sources.noiseByElevation(noise, geometry!);
  }
}

function carrierOf(contacts: ResolvedContacts, sources: LineSources): Carrier {
  switch (contacts.kind) {
    case 'always':
    case 'orbit':
      return ALWAYS;
    case 'list':
      return new ContactList(contacts.contacts.map(({ aos, los }) => ({ aos: at(aos), los: at(los) })));
    case 'periodic': {
      const { period, duration } = contacts;
      const aos = contacts.first % period;
      const los = aos + duration;
      // A first contact later than one period leaves the periods before it empty; the list says so by shifting time.
      const list =
        los <= period
          ? new ContactList([{ aos: at(aos), los: at(los) }], period)
          : new ContactList(
              [
                { aos: at(0), los: at(los - period) },
                { aos: at(aos), los: at(period) },
              ],
              period,
            );
      return contacts.first === aos && los <= period ? list : startingAt(list, at(contacts.first));
    }
    case 'plan':
      return sources.readContactPlan(contacts.file, contacts.from, contacts.to);
  }
}

/** The carrier, but absent before its first acquisition of signal. */
function startingAt(carrier: Carrier, first: Instant): Carrier {
  return {
    isUp: (time) => time >= first && carrier.isUp(time),
    nextChange: (time) => (time < first ? first : carrier.nextChange(time)),
    upcoming: (from, count) => carrier.upcoming(from < first ? first : from, count),
  };
}

function over<Value>(
  direction: ResolvedDirection,
  key: ResolvedTimeLine['key'],
  initial: number,
  convert: (value: number) => Value,
): Timeline<Value> {
  const line = direction.timeLines.find((each) => each.key === key);
  if (line === undefined) return Timeline.constant(convert(initial));
  const steps = line.steps.map(({ at: time, value }): Step<Value> => ({ at: at(time), value: convert(value) }));
  return new Timeline(steps, line.cycle);
}

const identity = (value: number): number => value;
const at = (nanoseconds: number): Instant => nanoseconds as Instant;
