/** Passes beside an independent program's, beside the geometry of a circular orbit, and the search on curves of known shape. */
import { describe, expect, test } from 'vitest';
import type { Varying } from '../../src/channel/index.ts';
import {
  EARTH_RADIUS_METRES,
  elevationOf,
  Orbit,
  Passes,
  PassSearch,
  SPEED_OF_LIGHT,
  slantRangeDelay,
} from '../../src/channel/orbit/index.ts';
import { type Instant, NEVER, Rng } from '../../src/core/index.ts';
import vectors from '../vectors/passes.json' with { type: 'json' };

const at = (n: number): Instant => n as Instant;
const { iss } = vectors;
const elements = iss.tle as [string, string];
const epoch = Date.parse(iss.epoch);
const orbit = new Orbit(elements, iss.station, epoch);

/** The two lines of a circular orbit at 12:00 on 20 September 2008; checksums are the schema's business, not SGP4's. */
function circular(inclination: number, revolutionsPerDay: number): [string, string] {
  const degrees = (x: number) => x.toFixed(4).padStart(8);
  return [
    '1 99999U 08001A   08264.50000000  .00000000  00000-0  00000-0 0  9990',
    `2 99999 ${degrees(inclination)} ${degrees(0)} 0000001 ${degrees(0)} ${degrees(0)} ${revolutionsPerDay.toFixed(8).padStart(11)}    00`,
  ];
}

describe('passes', () => {
  test('agree with an independent program: times to 10 ms (a grazing pass to 100 ms), elevation to 0.01°, range to 50 m', () => {
    const passes = new Passes(orbit, iss.maskDegrees).passes(at(0), iss.passes.length);
    expect(passes).toHaveLength(iss.passes.length);
    for (const [i, [aos, los, elevation, rangeAtAos, rangeAtCulmination]] of iss.passes.entries()) {
      const pass = passes[i]!;
      const tolerance = elevation! < 5.5 ? 0.1 : 0.01;
      expect(Math.abs(pass.aos / 1e9 - aos!)).toBeLessThan(tolerance);
      expect(Math.abs(pass.los / 1e9 - los!)).toBeLessThan(tolerance);
      expect(Math.abs(pass.maximumElevationDegrees - elevation!)).toBeLessThan(0.01);
      expect(Math.abs(orbit.look(pass.aos)!.slantRangeMetres - rangeAtAos!)).toBeLessThan(50);
      expect(Math.abs(orbit.look(pass.culmination)!.slantRangeMetres - rangeAtCulmination!)).toBeLessThan(50);
    }
  });

  test('begin and end where the elevation crosses the mask, to the millisecond', () => {
    for (const { aos, los } of new Passes(orbit, 10).upcoming(at(0), 20)) {
      for (const [inside, outside] of [
        [aos + 1e6, aos - 1e6],
        [los - 1e6, los + 1e6],
      ] as const) {
        expect(orbit.look(inside)!.elevationDegrees).toBeGreaterThanOrEqual(10);
        expect(orbit.look(outside)!.elevationDegrees).toBeLessThan(10);
      }
      expect(aos % 1e6).toBe(0);
    }
  });

  test('isUp and nextChange agree with the list, asked in any order', () => {
    const list = new Passes(orbit, 5).upcoming(at(0), 12);
    const carrier = new Passes(orbit, 5);
    const rng = new Rng(4, 'order');
    for (let i = 0; i < 2000; i++) {
      const time = at(Math.floor(rng.uniform() * list[11]!.los));
      const inside = list.find((pass) => pass.aos <= time && time < pass.los);
      expect(carrier.isUp(time)).toBe(inside !== undefined);
      expect(carrier.nextChange(time)).toBe(inside?.los ?? list.find((pass) => pass.aos > time)!.aos);
    }
  });

  test('a pass that is under way at the start begins there', () => {
    const first = new Passes(orbit, 5).upcoming(at(0), 2)[1]!;
    const later = epoch + Math.floor((first.aos + first.los) / 2e6);
    const during = new Passes(new Orbit(elements, iss.station, later), 5);
    expect(during.isUp(at(0))).toBe(true);
    expect(during.upcoming(at(0), 1)[0]!.aos).toBe(0);
    expect(Math.abs(during.upcoming(at(0), 1)[0]!.los / 1e6 - (first.los / 1e6 + epoch - later))).toBeLessThanOrEqual(
      1,
    );
  });

  test('a geostationary satellite stays up, or down; neither ends', () => {
    const geostationary = circular(0.01, 1.00273791);
    const upOrDown = [0, 180].map((longitude) => {
      const station = { latitudeDegrees: 0, longitudeDegrees: longitude, altitudeMetres: 0 };
      const passes = new Passes(new Orbit(geostationary, station, epoch), 20);
      expect(passes.nextChange(at(0))).toBe(NEVER);
      expect(passes.upcoming(at(0), 3)).toEqual([]);
      return passes.isUp(at(0));
    });
    expect(upOrDown).toContain(true);
    expect(upOrDown).toContain(false);
  });
});

describe('geometry', () => {
  test('SGP4 gives the published positions of satellite 00005 (AIAA 2006-6753), seen from the pole to a metre', () => {
    const tle = vectors.sgp4.tle as [string, string];
    // 179.78495062 days of 2000. From the pole the sidereal angle drops out of the range: only x² + y² and z count.
    const epochOfElements = Date.UTC(2000, 0, 1) + 178.78495062 * 86_400_000;
    const pole = { latitudeDegrees: 90, longitudeDegrees: 0, altitudeMetres: 0 };
    const seen = new Orbit(tle, pole, epochOfElements);
    for (const { minutes, km } of vectors.sgp4.positions) {
      const [x, y, z] = km as [number, number, number];
      const range = Math.hypot(x, y, z - 6356.7523142) * 1000;
      expect(Math.abs(seen.look(minutes * 60e9)!.slantRangeMetres - range)).toBeLessThan(1);
    }
  });

  test('a circular polar orbit at 600 km: range by elevation and the longest pass are those of the triangle', () => {
    const height = 600_000;
    const radius = EARTH_RADIUS_METRES + height;
    const revolutions = 86_400 / (2 * Math.PI * Math.sqrt(radius ** 3 / 3.986004418e14));
    const station = { latitudeDegrees: 0, longitudeDegrees: 0, altitudeMetres: 0 };
    const polar = new Orbit(circular(90, revolutions), station, epoch);
    // The mean motion of two-line elements (Kozai's) contains the oblateness: 3 km of height.
    expect(Math.abs(polar.meanHeightMetres / height - 1)).toBeLessThan(0.01);
    const mask = 10;
    const passes = new Passes(polar, mask).passes(at(0), 200);
    const elevation = (mask * Math.PI) / 180;
    // Law of sines: the Earth-central angle from the station to a satellite on the mask.
    const centralAngle = Math.PI / 2 - elevation - Math.asin((EARTH_RADIUS_METRES / radius) * Math.cos(elevation));
    const range = (radius * Math.sin(centralAngle)) / Math.cos(elevation);
    for (const pass of passes) {
      const ranges = [pass.aos, pass.los].map((time) => polar.look(time)!.slantRangeMetres);
      // The oblate Earth moves the equator 7 km up and SGP4's short periods move the satellite by some 10 km.
      for (const seen of ranges) expect(Math.abs(seen / range - 1)).toBeLessThan(0.03);
    }
    const longest = Math.max(...passes.map(({ aos, los }) => (los - aos) / 1e9));
    // The Earth turns by 1/15 of the satellite's angle, across the path: the relative speed is a little higher.
    const overhead = (2 * centralAngle * polar.periodSeconds) / (2 * Math.PI);
    expect(longest / overhead).toBeGreaterThan(0.97);
    expect(longest / overhead).toBeLessThan(1.02);
  });

  test('the delay along the slant range is within 0.1 µs of the exact one, whatever the order of asking', () => {
    const delay = slantRangeDelay(orbit);
    const rng = new Rng(9, 'delay');
    let worst = 0;
    for (let i = 0; i < 20_000; i++) {
      const time = i % 2 === 0 ? i * 4.3e9 : rng.uniform() * 86_400e9;
      const exact = (orbit.look(time)!.slantRangeMetres / SPEED_OF_LIGHT) * 1e9;
      worst = Math.max(worst, Math.abs(delay.at(at(time)) - exact));
    }
    expect(worst).toBeLessThan(100);
  });

  test('elements that SGP4 cannot use are refused; a decayed satellite is down for good', () => {
    const broken: [string, string] = [elements[0], elements[1].replace('15.72125391', ' 0.00000000')];
    expect(() => new Orbit(broken, iss.station, epoch)).toThrow(RangeError);
    const decayed = new Orbit(elements, iss.station, Date.UTC(2060, 0, 1));
    expect(decayed.look(0)).toBeUndefined();
    expect(elevationOf(decayed).at(at(0))).toBe(-90);
    expect(new Passes(decayed, 5).nextChange(at(0))).toBe(NEVER);
  });
});

describe('the search', () => {
  /** cos swings from −1 to 1 with period 100 s and a peak at 0. */
  const swing = (phase: number): Varying<number> => ({
    at: (time) => Math.cos((2 * Math.PI * (time / 1e9 - phase)) / 100),
  });

  test('finds short peaks over the mask between two samples, and short dips under it', () => {
    for (let phase = 0; phase < 100; phase += 3.7) {
      for (const half of [0.001, 0.05, 1]) {
        const width = (half / 100) * 2 * Math.PI;
        const peaks = new PassSearch(swing(phase), Math.cos(width), 12e9);
        const dips = new PassSearch(swing(phase + 50), -Math.cos(width), 12e9);
        const peak = peaks.endingAfter(at(150e9))!;
        const centre = phase + 100 * Math.ceil((150 - half - phase) / 100);
        expect(Math.abs(peak.aos / 1e9 - (centre - half))).toBeLessThan(0.0016);
        expect(Math.abs(peak.los / 1e9 - (centre + half))).toBeLessThan(0.0016);
        const before = dips.endingAfter(at((centre - half - 0.5) * 1e9))!;
        expect(Math.abs(before.los / 1e9 - (centre - half))).toBeLessThan(0.0016);
      }
    }
  });

  test('finds the same passes whatever the step', () => {
    const passes = [1, 3, 12, 24].map((step) => {
      const search = new PassSearch(swing(17.3), 0.3, step * 1e9);
      return Array.from({ length: 30 }, (_, i) => search.endingAfter(at(i * 100e9)));
    });
    for (const other of passes.slice(1)) expect(other).toEqual(passes[0]);
  });
});
