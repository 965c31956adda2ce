/**
 * What a wide-angle imager on a spacecraft at 640 km sees when it looks at the Earth's limb: a spherical Earth in true
 * perspective, sea, land, clouds with shadows, sun glint, a terminator, the thin atmosphere, stars, and the sensor's noise.
 *
 * Each pixel's line of sight is intersected with the sphere; what lies there follows from the seed alone. The surface is
 * invented: no map is used, and the light is shaped by eye, not by a radiative transfer. Sizes scale: the same seed gives the
 * same view at any resolution (but for the noise, which is per pixel). No trigonometry, so that the pixels are the same everywhere.
 */
import { Rng } from '../../core/index.ts';
import { decay, hash, mix, step, ValueNoise } from './noise.ts';
import type { PngImage } from './png.ts';

export interface EarthLimbOptions {
  readonly seed: number | string;
  readonly width: number;
  readonly height: number;
}

type Vector = readonly [number, number, number];
type Colour = [number, number, number];

const EARTH_RADIUS_KM = 6371;
const ALTITUDE_KM = 640;
const ORIGIN: Vector = [0, 0, (EARTH_RADIUS_KM + ALTITUDE_KM) / EARTH_RADIUS_KM]; // in Earth radii
/** Half the field of view, as a tangent: 60° across. */
const HALF_FIELD = 0.577;
/** Brightness scale height of the limb's glow, in Earth radii; drawn three times as thick as 8 km of air to be seen at all. */
const GLOW_HEIGHT = 24 / EARTH_RADIUS_KM;

export function renderEarthLimb({ seed, width, height }: EarthLimbOptions): PngImage {
  const scene = new Scene(seed);
  const pixels = new Uint8Array(width * height * 3);
  const sensorSeed = new Rng(seed, 'camera/sensor').uint32();
  const colour: Colour = [0, 0, 0];
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const u = (2 * (x + 0.5)) / width - 1;
      const v = ((1 - (2 * (y + 0.5)) / height) * height) / width;
      scene.see(u, v, 2 / width, colour);
      const vignette = 1 - 0.16 * (u * u + v * v);
      for (let channel = 0; channel < 3; channel++) {
        const exposed = 255 * tone(colour[channel]! * vignette);
        pixels[at++] = Math.min(255, Math.max(0, exposed + sensorNoise(sensorSeed, x, y, channel, exposed)));
      }
    }
  }
  return { width, height, pixels };
}

/** Everything the seed decides about one view. */
class Scene {
  readonly #land: ValueNoise;
  readonly #clouds: ValueNoise;
  readonly #starSeed: number;
  readonly #forward: Vector;
  readonly #right: Vector;
  readonly #up: Vector;
  readonly #sun: Vector;
  readonly #place: Vector;
  readonly #cloudiness: number;

  constructor(seed: number | string) {
    const rng = new Rng(seed, 'camera/scene');
    const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
    this.#land = new ValueNoise(rng.uint32());
    this.#clouds = new ValueNoise(rng.uint32());
    this.#starSeed = rng.uint32();
    // The horizon is 24.7° below the horizontal at 640 km; aim below it so that it lies in the upper third.
    this.#forward = normalise([0, 1, between(-0.72, -0.6)]);
    const roll = between(-0.24, 0.24);
    const levelRight: Vector = [1, 0, 0];
    const levelUp = cross(levelRight, this.#forward);
    this.#right = normalise(add(levelRight, levelUp, roll));
    this.#up = cross(this.#right, this.#forward);
    // The sun stands to one side, low enough that the terminator is often in view.
    const side = rng.uniform() < 0.5 ? -1 : 1;
    this.#sun = normalise([side * between(0.75, 1.3), between(0.05, 0.75), between(-0.05, 0.55)]);
    this.#place = [between(-50, 50), between(-50, 50), between(-50, 50)];
    this.#cloudiness = between(-0.06, 0.1);
  }

  /** The light along the line of sight through (u, v); `pixel` is a pixel's width in the same units. */
  see(u: number, v: number, pixel: number, out: Colour): void {
    const direction = normalise(add(add(this.#forward, this.#right, u * HALF_FIELD), this.#up, v * HALF_FIELD));
    // |ORIGIN + t·direction| = 1
    const along = dot(ORIGIN, direction);
    const closest = dot(ORIGIN, ORIGIN) - along * along; // square of the line's distance from the centre
    const tangentHeight = Math.sqrt(closest) - 1;
    const horizonDistance = Math.sqrt(dot(ORIGIN, ORIGIN) - 1);
    // A pixel that the horizon cuts is part ground, part sky.
    const blur = 0.8 * pixel * HALF_FIELD * horizonDistance;
    const ground = along < 0 ? step(blur, -blur, tangentHeight) : 0;
    out[0] = out[1] = out[2] = 0;
    if (ground < 1) this.#sky(direction, along, tangentHeight, 1 - ground, out);
    if (ground > 0) {
      const t = -along - Math.sqrt(Math.max(0, 1 - closest));
      this.#surface(normalise(add(ORIGIN, direction, t)), direction, ground, out);
    }
  }

  #sky(direction: Vector, along: number, tangentHeight: number, weight: number, out: Colour): void {
    const tangent = normalise(add(ORIGIN, direction, -along));
    const daylight = step(-0.12, 0.25, dot(tangent, this.#sun));
    const dusk = step(-0.2, 0.02, dot(tangent, this.#sun)) * (1 - step(0.02, 0.3, dot(tangent, this.#sun)));
    const height = Math.max(0, tangentHeight) / GLOW_HEIGHT;
    const near = decay(height * 2.4);
    const far = decay(height);
    out[0] += weight * (daylight * (0.55 * near * near + 0.1 * far * far) + dusk * 0.75 * near);
    out[1] += weight * (daylight * (0.75 * near + 0.12 * far) + dusk * 0.3 * near);
    out[2] += weight * (daylight * (0.8 * near + 0.55 * far) + dusk * 0.16 * near);
    const star = weight * this.#star(direction) * (1 - Math.min(1, far * 1.2));
    out[0] += star;
    out[1] += star * 0.97;
    out[2] += star * 0.92;
  }

  #star(direction: Vector): number {
    // One candidate star in each cell of a grid on the plane ahead; most cells are empty, brightness falls off steeply.
    const scale = 90 / direction[1];
    const x = direction[0] * scale;
    const y = direction[2] * scale;
    const xi = Math.floor(x);
    const yi = Math.floor(y);
    const h = hash(this.#starSeed, xi, yi, 0);
    if (h % 16 !== 0) return 0;
    const dx = x - xi - 0.2 - (0.6 * ((h >>> 8) & 255)) / 255;
    const dy = y - yi - 0.2 - (0.6 * ((h >>> 16) & 255)) / 255;
    const magnitude = ((h >>> 24) + 1) / 256;
    return (0.06 + 0.5 * magnitude * magnitude * magnitude) * decay((dx * dx + dy * dy) * 320);
  }

  #surface(normal: Vector, direction: Vector, weight: number, out: Colour): void {
    const [px, py, pz] = this.#place;
    const x = normal[0] * 9 + px;
    const y = normal[1] * 9 + py;
    const z = normal[2] * 9 + pz;
    const height = this.#land.fractal(x, y, z, 7, 0.52) + 0.02;
    const land = step(0, 0.012, height);
    const shallow = step(-0.07, 0, height) * (1 - land);
    const dryness = this.#land.fractal(x * 2.1 + 40, y * 2.1, z * 2.1, 5, 0.55);
    const arid = step(-0.12, 0.16, dryness);
    const mountain = step(0.16, 0.36, height);

    const sunHeight = dot(normal, this.#sun);
    const daylight = step(-0.08, 0.12, sunHeight) * (0.22 + 0.95 * Math.max(0, sunHeight));
    const warm = 1 - step(0, 0.35, sunHeight); // low sun is redder
    const facing = -dot(normal, direction);

    const cloud = this.#cloud(x, y, z);
    // The shadow is the cloud a little toward the sun.
    const [sx, sy, sz] = this.#sun;
    const shadow = 1 - 0.5 * this.#cloud(x + sx * 0.035, y + sy * 0.035, z + sz * 0.035) * (1 - cloud);

    // Sun glint: the mirror direction meets the sun, widened by waves.
    const mirror = dot(add(direction, normal, 2 * facing), this.#sun);
    const glint = (1 - land) * (0.55 * step(0.9, 1, mirror) ** 2 + 0.14 * step(0.6, 1, mirror));

    const lit = daylight * shadow;
    const swell = 1 + 0.25 * dryness; // the sea is not one colour either
    const red = mix(mix(0.02, 0.06, shallow) * swell + glint, mix(mix(0.13, 0.42, arid), 0.38, mountain * 0.6), land);
    const green = mix(
      mix(0.055, 0.17, shallow) * swell + glint * 0.93,
      mix(mix(0.19, 0.32, arid), 0.33, mountain * 0.6),
      land,
    );
    const blue = mix(
      mix(0.15, 0.24, shallow) * swell + glint * 0.8,
      mix(mix(0.09, 0.2, arid), 0.3, mountain * 0.6),
      land,
    );
    const whiteness = daylight * (0.78 + 0.3 * cloud);

    // Air between: more of it toward the horizon, blue by day.
    const air = Math.min(1, 0.085 / (facing + 0.05));
    const haze = step(-0.1, 0.3, sunHeight) * air;
    out[0] += weight * (mix(red * lit, whiteness, cloud) * (1 + 0.12 * warm) * (1 - 0.5 * air) + haze * 0.3);
    out[1] += weight * (mix(green * lit, whiteness, cloud) * (1 - 0.06 * warm) * (1 - 0.42 * air) + haze * 0.48);
    out[2] += weight * (mix(blue * lit, whiteness, cloud) * (1 - 0.22 * warm) * (1 - 0.3 * air) + haze * 0.72);
  }

  /** Cover 0 … 1; the position is bent by a second field, which draws the cover out into bands and swirls. */
  #cloud(x: number, y: number, z: number): number {
    const bendX = this.#clouds.fractal(x * 0.5, y * 0.5, z * 0.5, 2);
    const bendY = this.#clouds.fractal(x * 0.5 + 9.2, y * 0.5 + 3.7, z * 0.5, 2);
    const bentX = x + bendX * 0.9;
    const bentY = y + bendY * 0.9;
    const weather = this.#clouds.fractal(bentX * 0.8, bentY * 0.8, z * 0.8, 3);
    const detail = this.#clouds.fractal(bentX * 3.1, bentY * 3.1, z * 3.1 + bendX, 6, 0.62);
    const density = 0.75 * weather + 0.55 * detail;
    return step(0.0, 0.3, density + this.#cloudiness);
  }
}

/** A film-like shoulder: highlights bend instead of clipping. Gamma 2 by square root. */
const tone = (light: number): number => Math.sqrt((light * (1 + light * 0.25)) / (0.72 + light * 0.62));

/** Shot noise that grows with the light, read noise that is always there, and a faint column pattern as of a CCD. */
function sensorNoise(seed: number, x: number, y: number, channel: number, exposed: number): number {
  const h = hash(seed, x, y, channel);
  // Sum of four uniform octets: near enough to a normal variable of unit variance.
  const normal = ((h & 255) + ((h >>> 8) & 255) + ((h >>> 16) & 255) + (h >>> 24) - 510) / 148;
  const column = (hash(seed, x, -1, 0) / 4294967296 - 0.5) * 1.2;
  return normal * (0.9 + 0.008 * exposed) + column;
}

const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const add = (a: Vector, b: Vector, scale: number): Vector => [
  a[0] + b[0] * scale,
  a[1] + b[1] * scale,
  a[2] + b[2] * scale,
];
const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
function normalise(a: Vector): Vector {
  const length = Math.sqrt(dot(a, a));
  return [a[0] / length, a[1] / length, a[2] / length];
}
