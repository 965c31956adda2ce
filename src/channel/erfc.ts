/**
 * The complementary error function, relative error under 2e-14 from −5 to 26 (beyond, the result underflows): below 1.5 the series of
 * erf (Abramowitz and Stegun 7.1.6), whose terms are all positive; from 1.5 on the continued fraction of erfc (7.1.14).
 */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 1.5) return 1 - erfOfSmall(x);
  return tail(x);
}

/** The bit error rate of coherent BPSK or QPSK in white noise: ½ erfc(√(Eb/N0)); `ebN0` is a ratio, not decibels. */
export function bpskBitErrorRate(ebN0: number): number {
  return ebN0 <= 0 ? 0.5 : 0.5 * erfc(Math.sqrt(ebN0));
}

const TWO_OVER_ROOT_PI = 1.1283791670955126;
const ROOT_PI = 1.7724538509055159;

function erfOfSmall(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return TWO_OVER_ROOT_PI * Math.exp(-x * x) * sum;
}

/** e^(−x²) / √π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …)))), from the far end. */
function tail(x: number): number {
  let fraction = x;
  for (let n = Math.ceil(40 + 600 / (x * x)); n > 0; n--) fraction = x + n / 2 / fraction;
  // x² in two parts: rounding it at once would cost the exponential x² · 2^−53 of its digits.
  const high = Math.fround(x);
  const low = x - high;
  return (Math.exp(-high * high) * Math.exp(-low * (2 * high + low))) / (ROOT_PI * fraction);
}
