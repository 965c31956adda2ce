import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import { bootstrap, deviation, mean, median, quantile, summarise } from '../../src/lab/statistics.ts';

describe('statistics', () => {
  test('mean, median, quantiles and deviation', () => {
    const values = [2, 4, 4, 4, 5, 5, 7, 9];
    expect(mean(values)).toBe(5);
    expect(median(values)).toBe(4.5);
    // R: quantile(x, c(0.05, 0.95)) and sd(x)
    expect(quantile(values, 0.05)).toBeCloseTo(2.7, 12);
    expect(quantile(values, 0.95)).toBeCloseTo(8.3, 12);
    expect(deviation(values)).toBeCloseTo(2.1380899, 6);
    expect(median([3])).toBe(3);
    expect(mean([])).toBeNaN();
  });

  test('the interval of one value is the value', () => {
    expect(bootstrap([0.8], mean)).toEqual({ low: 0.8, high: 0.8 });
  });

  test('the same values give the same interval; the values are left alone', () => {
    const values = [9, 1, 5, 7];
    expect(summarise(values)).toEqual(summarise(values));
    expect(values).toEqual([9, 1, 5, 7]);
  });

  test('the summary has the intervals that resampling by hand has', () => {
    for (const values of [
      [9, 1, 5, 7],
      [3, 3, 8, 1, 2, 9, 4],
      [1, 2],
    ]) {
      const sorted = [...values].sort((a, b) => a - b);
      const { meanInterval, medianInterval } = summarise(values, { seed: 5 });
      expect(medianInterval).toEqual(bootstrap(sorted, median, { seed: 5 }));
      const { low, high } = bootstrap(sorted, mean, { seed: 5 });
      expect(meanInterval.low).toBeCloseTo(low, 12);
      expect(meanInterval.high).toBeCloseTo(high, 12);
    }
  });

  test('a 95 % interval of the mean holds the true mean 95 times in 100', () => {
    let inside = 0;
    const rng = new Rng(7, 'statistics test');
    for (let experiment = 0; experiment < 400; experiment++) {
      const values = Array.from({ length: 40 }, () => 10 + rng.normal());
      const { low, high } = bootstrap(values, mean, { resamples: 300, seed: experiment });
      if (low <= 10 && 10 <= high) inside++;
    }
    // 40 values: the percentile bootstrap covers about 94 %; ± 3 deviations of 400 trials.
    expect(inside / 400).toBeGreaterThan(0.9);
    expect(inside / 400).toBeLessThan(0.985);
  });
});
