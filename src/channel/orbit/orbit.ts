/**
 * Where a satellite stands as seen from a ground station, from two-line elements with SGP4 (satellite.js; Vallado et al.,
 * "Revisiting Spacetrack Report #3", AIAA 2006-6753), and from that the passes over an elevation mask, the slant range and the
 * propagation delay.
 *
 * Left out: UT1 − UTC (under 0.9 s of Earth rotation, at most 0.2 s in a pass's times), polar motion, refraction (0.2° at the
 * horizon), light time within one delay (0.25 µs in low orbit). All are far below what elements a day old are worth: 1 to 3 km,
 * some 0.3 s. Acquisition and loss of signal are rounded to the millisecond and delays to the nanosecond, so that the last bit
 * of a sine on another processor changes nothing.
 */
import { degreesToRadians, ecfToLookAngles, eciToEcf, gstime, type SatRec, sgp4, twoline2satrec } from 'satellite.js';
import { type Instant, NEVER } from '../../core/index.ts';
import type { Carrier, ContactInterval } from '../contacts.ts';
import type { Varying } from '../timeline.ts';
import { PassSearch } from './pass-search.ts';

export interface Station {
  /** Geodetic, north positive. */
  readonly latitudeDegrees: number;
  /** East positive. */
  readonly longitudeDegrees: number;
  readonly altitudeMetres: number;
}

export interface Look {
  /** Negative below the horizon. */
  readonly elevationDegrees: number;
  /** From north over east. */
  readonly azimuthDegrees: number;
  readonly slantRangeMetres: number;
}

export interface Pass extends ContactInterval {
  readonly maximumElevationDegrees: number;
  /** When it stands highest. */
  readonly culmination: Instant;
}

export const SPEED_OF_LIGHT = 299_792_458;
const JULIAN_DATE_OF_1970 = 2_440_587.5;
const MILLISECONDS_PER_DAY = 86_400_000;

/** A satellite and a station. Instants count from `epochMilliseconds` of UTC. */
export class Orbit {
  readonly #satellite: SatRec;
  readonly #observer: { readonly latitude: number; readonly longitude: number; readonly height: number };
  readonly #epochJulianDate: number;
  /** Minutes from the epoch of the elements to instant 0. */
  readonly #minutes: number;

  /** Throws RangeError when SGP4 cannot use the elements. */
  constructor(elements: readonly [string, string], station: Station, epochMilliseconds: number) {
    this.#satellite = twoline2satrec(elements[0], elements[1]);
    if (!(this.#satellite.error === 0 && this.#satellite.no > 0))
      throw new RangeError(`SGP4 cannot use the elements: ${reasonOf(this.#satellite.error)}`);
    this.#observer = {
      latitude: degreesToRadians(station.latitudeDegrees),
      longitude: degreesToRadians(station.longitudeDegrees),
      height: station.altitudeMetres / 1000,
    };
    this.#epochJulianDate = JULIAN_DATE_OF_1970 + epochMilliseconds / MILLISECONDS_PER_DAY;
    const elementsMilliseconds = (this.#satellite.jdsatepoch - JULIAN_DATE_OF_1970) * MILLISECONDS_PER_DAY;
    this.#minutes = (epochMilliseconds - elementsMilliseconds) / 60_000;
  }

  /** Days from the epoch of the elements to instant 0; negative when the elements are younger. */
  get ageDays(): number {
    return this.#minutes / 1440;
  }

  /** Once round, seconds (anomalistic). */
  get periodSeconds(): number {
    return (2 * Math.PI * 60) / this.#satellite.no;
  }

  /** Of the mean orbit above the mean radius of the Earth, metres. */
  get meanHeightMetres(): number {
    return Math.cbrt(GRAVITATION / (this.#satellite.no / 60) ** 2) - EARTH_RADIUS_METRES;
  }

  /** How long it takes through a two-hundredth of a turn at perigee, seconds: nothing of note happens in less. */
  get resolutionSeconds(): number {
    const e = this.#satellite.ecco;
    return (this.periodSeconds * (1 - e * e) ** 1.5) / (1 + e) ** 2 / 200;
  }

  /** Undefined when SGP4 says that the satellite has decayed, or cannot say where it is. */
  look(time: number): Look | undefined {
    const state = sgp4(this.#satellite, this.#minutes + time / 60e9);
    if (state === null || this.#satellite.error !== 0 || !Number.isFinite(state.position.x)) return undefined;
    const sidereal = gstime(this.#epochJulianDate + time / 86_400e9);
    const { elevation, azimuth, rangeSat } = ecfToLookAngles(this.#observer, eciToEcf(state.position, sidereal));
    return {
      elevationDegrees: (elevation * 180) / Math.PI,
      azimuthDegrees: (azimuth * 180) / Math.PI,
      slantRangeMetres: rangeSat * 1000,
    };
  }
}

/** −90 when it has decayed, so that it is below every mask. */
export function elevationOf(orbit: Orbit): Varying<number> {
  return { at: (time) => orbit.look(time)?.elevationDegrees ?? -90 };
}

/** Nanoseconds along the slant range: samples a second apart and straight lines between them; under 0.15 µs off from 200 km up. */
export function slantRangeDelay(orbit: Orbit): Varying<number> {
  let second = -1;
  let from = 0;
  let to = 0;
  let known = 0;
  const sample = (at: number): number => {
    const range = orbit.look(at * 1e9)?.slantRangeMetres;
    // A satellite that has decayed is below the mask: nothing is sent, and the last delay will do.
    if (range !== undefined) known = (range / SPEED_OF_LIGHT) * 1e9;
    return known;
  };
  return {
    at(time) {
      const now = Math.floor(time / 1e9);
      if (now !== second) {
        from = now === second + 1 && second >= 0 ? to : sample(now);
        to = sample(now + 1);
        second = now;
      }
      return Math.round(from + (to - from) * (time / 1e9 - now));
    },
  };
}

/** The passes over a station. They are searched as they are asked for and remembered. */
export class Passes implements Carrier {
  readonly #orbit: Orbit;
  readonly #search: PassSearch;

  /** @param maskDegrees the lowest usable elevation */
  constructor(orbit: Orbit, maskDegrees: number) {
    this.#orbit = orbit;
    const step = Math.min(600, Math.max(1, orbit.resolutionSeconds)) * 1e9;
    this.#search = new PassSearch(elevationOf(orbit), maskDegrees, step);
  }

  isUp(time: Instant): boolean {
    const pass = this.#search.endingAfter(time);
    return pass !== undefined && pass.aos <= time;
  }

  nextChange(time: Instant): Instant {
    const pass = this.#search.endingAfter(time);
    if (pass === undefined) return NEVER;
    return pass.aos > time ? pass.aos : pass.los;
  }

  upcoming(from: Instant, count: number): ContactInterval[] {
    const found: ContactInterval[] = [];
    for (let time = from; found.length < count; ) {
      const pass = this.#search.endingAfter(time);
      if (pass === undefined || pass.los === NEVER) break;
      found.push(pass);
      time = pass.los;
    }
    return found;
  }

  /** The same with the highest elevation of each. */
  passes(from: Instant, count: number): Pass[] {
    return this.upcoming(from, count).map((contact) => this.describe(contact));
  }

  describe(contact: ContactInterval): Pass {
    const culmination = this.#search.culmination(contact);
    const maximumElevationDegrees = this.#orbit.look(culmination)?.elevationDegrees ?? -90;
    return { ...contact, culmination, maximumElevationDegrees };
  }
}

/** m³/s² and m; WGS 84. */
const GRAVITATION = 3.986004418e14;
export const EARTH_RADIUS_METRES = 6_371_008.8;

function reasonOf(error: number): string {
  return (
    ['mean motion or a field is not a number', 'eccentricity', 'mean motion', 'eccentricity with perturbations'][
      error
    ] ?? (error === 6 ? 'the satellite has decayed' : 'the orbit lies inside the Earth')
  );
}
