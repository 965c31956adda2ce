/**
 * Seeded value noise on a cubic lattice and fractal sums of it, for clouds and coasts. Integer hashing and plain
 * arithmetic only, so that the same seed gives the same field on every machine.
 */
export class ValueNoise {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  /** Smooth in x, y, z; −1 … 1, one feature a unit. */
  at(x: number, y: number, z: number): number {
    const xi = Math.floor(x);
    const yi = Math.floor(y);
    const zi = Math.floor(z);
    const u = fade(x - xi);
    const v = fade(y - yi);
    const w = fade(z - zi);
    const low = mix(
      mix(this.#lattice(xi, yi, zi), this.#lattice(xi + 1, yi, zi), u),
      mix(this.#lattice(xi, yi + 1, zi), this.#lattice(xi + 1, yi + 1, zi), u),
      v,
    );
    const high = mix(
      mix(this.#lattice(xi, yi, zi + 1), this.#lattice(xi + 1, yi, zi + 1), u),
      mix(this.#lattice(xi, yi + 1, zi + 1), this.#lattice(xi + 1, yi + 1, zi + 1), u),
      v,
    );
    return mix(low, high, w);
  }

  /** Octaves of halving size and weight (`gain`, 0.5 is smooth, 0.65 rough); about −1 … 1. */
  fractal(x: number, y: number, z: number, octaves: number, gain = 0.5): number {
    let sum = 0;
    let weight = 1;
    let total = 0;
    let scale = 1;
    for (let octave = 0; octave < octaves; octave++) {
      // The offset keeps the lattices of the octaves from lining up at the origin.
      const shift = octave * 17.31;
      sum += weight * this.at(x * scale + shift, y * scale - shift, z * scale + shift);
      total += weight;
      weight *= gain;
      scale *= 2.03;
    }
    return sum / total;
  }

  #lattice(x: number, y: number, z: number): number {
    return hash(this.#seed, x, y, z) / 2147483648 - 1;
  }
}

/** 32 well-mixed bits of four integers. */
export function hash(a: number, b: number, c: number, d: number): number {
  let h = a ^ Math.imul(b, 0x9e3779b1) ^ Math.imul(c, 0x85ebca77) ^ Math.imul(d, 0xc2b2ae3d);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

const fade = (t: number): number => t * t * t * (t * (t * 6 - 15) + 10);
export const mix = (a: number, b: number, t: number): number => a + (b - a) * t;

/** 0 below `from`, 1 above `to`, smooth between. */
export function step(from: number, to: number, x: number): number {
  const t = Math.min(1, Math.max(0, (x - from) / (to - from)));
  return t * t * (3 - 2 * t);
}

/** A cheap e^−x for x ≥ 0 (the reciprocal of a truncated series), the same on every machine, unlike a library's exp. */
export const decay = (x: number): number => 1 / (1 + x * (1 + x * (0.5 + x * (1 / 6 + x / 24))));
