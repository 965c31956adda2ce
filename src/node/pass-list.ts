/** The contacts of a scenario's links in the order in which they come, with what an operator asks of a pass. */
import { octetsThatFit } from '../channel/index.ts';
import type { Instant } from '../core/index.ts';
import { fcsOctets } from '../hdlc/index.ts';
import type { ResolvedLink, ResolvedScenario } from '../scenario/resolved.ts';
import { encapsulationOf, lineSettingsOf } from './line-settings.ts';
import { lineSources, type OrbitGeometry } from './line-sources.ts';

export interface ListedPass {
  readonly link: string;
  readonly from: string;
  readonly to: string;
  /** Since the scenario's start. */
  readonly aosSeconds: number;
  readonly losSeconds: number;
  /** ISO 8601. */
  readonly aos: string;
  readonly los: string;
  readonly durationSeconds: number;
  /** Only of passes from two-line elements. */
  readonly maximumElevationDegrees?: number;
  /** IP octets, in packets of the link's MTU, that fit from `from` to `to`; absent when that direction is down. */
  readonly octetsUp?: number;
  /** The way back. */
  readonly octetsDown?: number;
}

export interface PassList {
  readonly passes: readonly ListedPass[];
  /** Links that are always in contact. */
  readonly always: readonly string[];
  /** Links with two-line elements, by how many days these are from the scenario's start. */
  readonly elementsAgeDays: Readonly<Record<string, number>>;
}

/** The passes that end after `from`, at most `count` of all links together. */
export function listPasses(
  scenario: ResolvedScenario,
  links: readonly ResolvedLink[],
  from: Instant,
  count: number,
): PassList {
  const sources = lineSources(scenario);
  const always: string[] = [];
  const elementsAgeDays: Record<string, number> = {};
  const passes = links.flatMap((link) => {
    const rows = new Map<string, ListedPass>();
    for (const key of ['up', 'down'] as const) {
      const direction = link[key];
      if (direction.contacts.kind === 'always') continue;
      const geometry = direction.contacts.kind === 'orbit' ? sources.computeOrbit(direction.contacts) : undefined;
      if (geometry !== undefined) elementsAgeDays[link.name] = geometry.orbit.ageDays;
      const { settings, carrier } = lineSettingsOf(direction, sources);
      for (const { aos, los } of carrier.upcoming(from, count)) {
        const usableTo = link.los.inFlight === 'cut' ? Math.max(aos, los - settings.delay.at(los)) : los;
        const octets = octetsThatFit(settings.rate, aos, usableTo as Instant, {
          packetOctets: link.mtuOctets,
          overheadOctets: encapsulationOf(link).headerOctets + fcsOctets(link.fcs),
          flagsBetweenFrames: link.flags === 'shared' ? 1 : 2,
        });
        const row = rows.get(`${aos} ${los}`) ?? describe(scenario, link, aos, los, geometry);
        rows.set(`${aos} ${los}`, { ...row, [key === 'up' ? 'octetsUp' : 'octetsDown']: octets });
      }
    }
    if (link.up.contacts.kind === 'always' && link.down.contacts.kind === 'always') always.push(link.name);
    return [...rows.values()];
  });
  passes.sort((a, b) => a.aosSeconds - b.aosSeconds || a.losSeconds - b.losSeconds);
  return { passes: passes.slice(0, count), always, elementsAgeDays };
}

function describe(
  scenario: ResolvedScenario,
  link: ResolvedLink,
  aos: Instant,
  los: Instant,
  geometry: OrbitGeometry | undefined,
): ListedPass {
  const utc = (at: Instant) => new Date(scenario.epochMilliseconds + at / 1e6).toISOString();
  return {
    link: link.name,
    from: link.from,
    to: link.to,
    aosSeconds: aos / 1e9,
    losSeconds: los / 1e9,
    aos: utc(aos),
    los: utc(los),
    durationSeconds: (los - aos) / 1e9,
    ...(geometry !== undefined && {
      maximumElevationDegrees: Number(geometry.carrier.describe({ aos, los }).maximumElevationDegrees.toFixed(2)),
    }),
  };
}
