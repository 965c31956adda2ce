/** Exact 99 % confidence limits of a rate from a count, for counts far smaller than the number of trials (Poisson). */

/** The rates at which so few, or so many, would be seen in 1 of 200 experiments. Exact (Garwood 1936), by bisection. */
export function poissonLimits99(count: number, trials: number): { readonly low: number; readonly high: number } {
  const tail = 0.005;
  const low = count === 0 ? 0 : solve((mean) => 1 - cumulativePoisson(count - 1, mean) - tail, 0, count);
  const high = solve((mean) => tail - cumulativePoisson(count, mean), count, count + 10 * Math.sqrt(count + 1) + 20);
  return { low: low / trials, high: high / trials };
}

/** P(X ≤ count) for a Poisson variable. */
export function cumulativePoisson(count: number, mean: number): number {
  // Terms from the largest down, each from its neighbour, so that nothing overflows.
  let logTerm = -mean;
  let sum = 0;
  for (let k = 0; k <= count; k++) {
    if (k > 0) logTerm += Math.log(mean / k);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}

/** The zero of a rising function in [low, high]. */
function solve(rising: (x: number) => number, low: number, high: number): number {
  let a = low;
  let b = high;
  for (let i = 0; i < 200 && b - a > 1e-12 * b; i++) {
    const middle = (a + b) / 2;
    if (rising(middle) < 0) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}
