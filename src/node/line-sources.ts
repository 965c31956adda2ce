/**
 * What the lines of a scenario need beyond its text: orbits computed, contact plans and recorded errors read from files. One per
 * data plane; what two directions share is computed once.
 */
import {
  berFromLinkBudget,
  berFromTable,
  type Carrier,
  ContactList,
  steppedNoise,
  Timeline,
} from '../channel/index.ts';
import { elevationOf, Orbit, Passes, SPEED_OF_LIGHT, slantRangeDelay } from '../channel/orbit/index.ts';
import { OmniError } from '../core/index.ts';
import { readContactPlanFile, readErrorFile } from '../io/contact-plan-file.ts';
import { type ContactPlan, contactsBetween, delaysBetween, pairsOf } from '../scenario/contact-plan/index.ts';
import type { ResolvedContacts, ResolvedScenario } from '../scenario/resolved.ts';
import { type Geometry, type LineSources, lineSettingsOf } from './line-settings.ts';

export type ResolvedOrbit = Extract<ResolvedContacts, { kind: 'orbit' }>;

export interface OrbitGeometry extends Geometry {
  readonly carrier: Passes;
  readonly orbit: Orbit;
}

export interface ScenarioLineSources extends LineSources {
  computeOrbit(orbit: ResolvedOrbit): OrbitGeometry;
}

/**
 * Reads and computes everything once, so that what is wrong with it is said before anything is built. Throws OmniError
 * OMNI_BAD_FILE, OMNI_READ or OMNI_BAD_ORBIT.
 */
export function checkLineSources(scenario: ResolvedScenario): void {
  const sources = lineSources(scenario);
  for (const { up, down } of scenario.links) for (const direction of [up, down]) lineSettingsOf(direction, sources);
}

/** Elements older, or younger, than this say little of where the satellite is. */
export const STALE_ELEMENTS_DAYS = 30;

export function lineSources({ epochMilliseconds }: Pick<ResolvedScenario, 'epochMilliseconds'>): ScenarioLineSources {
  const orbits = new Map<string, Pick<OrbitGeometry, 'orbit' | 'carrier'>>();
  const plans = new Map<string, ContactPlan>();
  const planOf = (file: string): ContactPlan => {
    const plan = plans.get(file) ?? readContactPlanFile(file, epochMilliseconds);
    plans.set(file, plan);
    return plan;
  };
  return {
    readErrorFile,
    readContactPlan: (file, from, to) => carrierOf(planOf(file), file, from, to),
    readPlanDelay: (file, from, to) => {
      const steps = delaysBetween(planOf(file), from, to);
      return steps.length === 0 ? undefined : new Timeline(steps);
    },
    computeOrbit: (settings) => {
      const key = JSON.stringify(settings);
      const known = orbits.get(key) ?? observe(settings, epochMilliseconds);
      orbits.set(key, known);
      const { orbit } = known;
      return {
        ...known,
        delay: slantRangeDelay(orbit),
        elevation: elevationOf(orbit),
        zenithDelay: (orbit.meanHeightMetres / SPEED_OF_LIGHT) * 1e9,
      };
    },
    noiseByElevation: (noise, { carrier, delay, elevation, zenithDelay }) =>
      steppedNoise(
        noise.kind === 'elevation'
          ? { at: (time) => berFromTable(noise.table, elevation.at(time)) }
          : { at: (time) => berFromLinkBudget(noise, delay.at(time) / zenithDelay) },
        carrier,
      ),
  };
}

function observe(settings: ResolvedOrbit, epochMilliseconds: number): Pick<OrbitGeometry, 'orbit' | 'carrier'> {
  const when = new Date(epochMilliseconds).toISOString();
  const refuse = (reason: string, cause?: unknown): never => {
    throw new OmniError('OMNI_BAD_ORBIT', `computing passes from '${settings.tle[0]}' at ${when}: ${reason}`, {
      ...(cause !== undefined && { cause }),
      remedy: "set the scenario's `epoch` near the epoch of the elements, or take newer elements",
    });
  };
  try {
    const orbit = new Orbit(settings.tle, settings.station, epochMilliseconds);
    if (orbit.look(0) === undefined) {
      const days = Math.abs(orbit.ageDays).toFixed(0);
      refuse(`SGP4 says that the satellite has decayed; the elements are ${days} days away`);
    }
    return { orbit, carrier: new Passes(orbit, settings.maskDegrees) };
  } catch (error) {
    return error instanceof RangeError ? refuse(error.message, error) : raise(error);
  }
}

function raise(error: unknown): never {
  throw error;
}

function carrierOf(plan: ContactPlan, file: string, from: string, to: string): Carrier {
  if (!plan.contacts.some((contact) => contact.from === from && contact.to === to))
    throw new OmniError('OMNI_BAD_FILE', `${file}: the plan has no contact from '${from}' to '${to}'`, {
      remedy: `it has ${pairsOf(plan)}; name them with \`from\` and \`to\` beside \`plan\``,
    });
  return new ContactList(contactsBetween(plan, from, to));
}
