/**
 * Seeded random numbers, the same on every machine.
 *
 * xoshiro128** (Blackman and Vigna, 2018, public domain) gives the 32-bit draws; its state comes from the seed and a label
 * through a 128-bit mixing of their UTF-16 code units (MurmurHash3's finalisers), so that neighbouring seeds, and neighbouring
 * labels of one seed, are unrelated from the first draw. `naturalLogarithm` is fdlibm's e_log.c algorithm in plain IEEE
 * arithmetic because Math.log may differ in its last bit between engines, which would move a bit error.
 */
export class Rng {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  /** @param seed any integer or text; @param label what the stream is for, e.g. `downlink/noise`. */
  constructor(seed: number | bigint | string, label = '') {
    const text = `${seed}\u0000${label}`;
    let h1 = 0x239b961b;
    let h2 = 0xab0e9789;
    let h3 = 0x38b34ae5;
    let h4 = 0xa1e38b93;
    for (let i = 0; i < text.length; i++) {
      const k = text.charCodeAt(i);
      h1 = h2 ^ Math.imul(h1 ^ k, 0x239b961b);
      h2 = h3 ^ Math.imul(h2 ^ k, 0xab0e9789);
      h3 = h4 ^ Math.imul(h3 ^ k, 0x38b34ae5);
      h4 = h1 ^ Math.imul(h4 ^ k, 0xa1e38b93);
    }
    this.#a = mix(h1 ^ h2);
    this.#b = mix(h2 ^ h3 ^ 0x9e3779b9);
    this.#c = mix(h3 ^ h4 ^ 0x85ebca6b);
    this.#d = mix(h4 ^ h1 ^ 0xc2b2ae35);
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 1;
    for (let i = 0; i < 16; i++) this.uint32();
  }

  /** Uniform in 0 … 2^32 − 1. */
  uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = rotateLeft(this.#d, 11);
    return result;
  }

  /** Uniform in the open interval (0, 1), 53 bits: never 0, so its logarithm is finite. */
  uniform(): number {
    const high = this.uint32() >>> 6;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low + 0.5) / 4503599627370496;
  }

  /** A whole number in 0 … bound − 1, unbiased. Throws RangeError unless 1 ≤ bound ≤ 2^32. */
  below(bound: number): number {
    if (!(Number.isInteger(bound) && bound >= 1 && bound <= 4294967296)) throw new RangeError(`bound ${bound}`);
    const limit = 4294967296 - (4294967296 % bound);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % bound;
  }

  /** Exponential with mean 1. */
  exponential(): number {
    return -naturalLogarithm(this.uniform());
  }

  /** Normal with mean 0 and variance 1 (Marsaglia's polar method). */
  normal(): number {
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const s = x * x + y * y;
      if (s > 0 && s < 1) return x * Math.sqrt((-2 * naturalLogarithm(s)) / s);
    }
  }

  fill(octets: Uint8Array): void {
    for (let i = 0; i < octets.length; i++) octets[i] = this.uint32() >>> 24;
  }
}

const rotateLeft = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

function mix(h: number): number {
  let x = h | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const floatView = new DataView(new ArrayBuffer(8));

/**
 * The natural logarithm of a normal positive double, to under 1 ulp, from +, −, × and ÷ only.
 * Method and constants: fdlibm e_log.c (Sun Microsystems, freely distributable): x = 2^k (1+f), s = f/(2+f),
 * log(1+f) = f − (f²/2 − s (f²/2 + R(s²))).
 */
export function naturalLogarithm(x: number): number {
  if (!(x >= 2.2250738585072014e-308 && x < Number.POSITIVE_INFINITY)) throw new RangeError(`logarithm of ${x}`);
  floatView.setFloat64(0, x);
  let high = floatView.getUint32(0);
  let k = (high >>> 20) - 1023;
  high &= 0x000fffff;
  const carry = (high + 0x95f64) & 0x100000;
  floatView.setUint32(0, high | (carry ^ 0x3ff00000));
  k += carry >>> 20;
  const f = floatView.getFloat64(0) - 1;
  if (f === 0) return k * LN2_HIGH + k * LN2_LOW;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373));
  const t2 = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)));
  const r = t1 + t2;
  const half = 0.5 * f * f;
  return k * LN2_HIGH - (half - (s * (half + r) + k * LN2_LOW) - f);
}
