/** Frame error rate beside 1 − (1 − p)^n, over the real framer, noise and deframer; prints its table. */
import { expect, test } from 'vitest';
import { NO_NOISE } from '../../src/channel/index.ts';
import { binomialInterval99, measureFrameErrorRate } from '../../src/lab/frame-error-rate.ts';

const SIZES = [46, 558, 1506];
const RATES = [1e-6, 1e-5, 1e-4];
const FRAMES = 100_000;

test('frame error rate lies in the 99 % interval of theory for three sizes and three bit error rates', () => {
  const rows: string[] = [];
  let seed = 2000;
  for (const octets of SIZES)
    for (const ber of RATES) {
      const { errors, expected, meanBits } = measureFrameErrorRate({
        frameOctets: octets - 2,
        frames: FRAMES,
        noise: { kind: 'independent', ber },
        seed: seed++,
      });
      const { low, high } = binomialInterval99(FRAMES, expected);
      rows.push(
        `${String(octets).padStart(6)} ${meanBits.toFixed(1).padStart(9)} ${ber.toExponential(0).padStart(6)} ${String(errors).padStart(7)} ${(errors / FRAMES).toExponential(3).padStart(10)} ${expected.toExponential(3).padStart(10)}  ${low} … ${high}`,
      );
      expect.soft(errors, `${octets} octets at ${ber}`).toBeGreaterThanOrEqual(low);
      expect.soft(errors, `${octets} octets at ${ber}`).toBeLessThanOrEqual(high);
    }
  console.log(
    `octets      bits    BER    lost   measured     theory  99 % interval of ${FRAMES} frames\n${rows.join('\n')}`,
  );
});

test('without noise nothing is lost', () => {
  const result = measureFrameErrorRate({ frameOctets: 100, frames: 10_000, noise: NO_NOISE, seed: 1 });
  expect(result.errors).toBe(0);
  expect(result.bitErrors).toBe(0);
});
