import { describe, expect, test } from 'vitest';
import { HostClock } from '../../src/io/clock.ts';

/** True time in nanoseconds; each reading takes 100 ns, and `pauses` puts the process aside after the n-th reading. */
function machine(pauses: (reading: number) => number) {
  let time = 1_700_000_000_123_456_789n;
  let readings = 0;
  const read = () => {
    time += 100n;
    const shown = time;
    time += BigInt(pauses(++readings));
    return shown;
  };
  return {
    monotonic: () => read() - 1_600_000_000_000_000_000n,
    system: () => Number(read() / 1_000_000n),
    now: () => time,
  };
}

describe("the host's clock", () => {
  test('is known to a few hundred nanoseconds', () => {
    const { monotonic, system, now } = machine(() => 0);
    const clock = new HostClock(monotonic, system);
    expect(clock.uncertaintySeconds).toBeLessThan(500e-9);
    expect(Math.abs(Number(clock.now() - now()))).toBeLessThan(500);
  });

  test('is right within its uncertainty wherever the process is put aside', () => {
    for (const every of [997, 2503, 4999])
      for (const length of [900_000, 12_000_000])
        for (let first = 0; first < 12; first++) {
          const { monotonic, system, now } = machine((n) => (n % every === first ? length : 0));
          const clock = new HostClock(monotonic, system);
          const wrong = Math.abs(Number(clock.now() - now())) / 1e9;
          expect(wrong, `pauses of ${length} ns at ${first} of ${every}`).toBeLessThanOrEqual(
            clock.uncertaintySeconds + 1e-6,
          );
        }
  });

  test('a step of the system time is followed', () => {
    let step = 0;
    const { monotonic, system, now } = machine(() => 0);
    const clock = new HostClock(monotonic, () => system() + step);
    step = 250;
    expect(Math.abs(Number(clock.now() - now()) - 250e6)).toBeLessThan(1000);
  });
});
