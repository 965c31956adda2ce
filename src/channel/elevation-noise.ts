/**
 * Bit errors that follow the elevation of a satellite: from a table, or from a link budget of one line. Steps of a second, each at
 * the value of its middle. At the edge of a step that is off by at most 0.6° of elevation near zenith, 0.06° below 10°, and 0.044 dB
 * of Eb/N0 (measured over 200 passes from 360 km up; higher orbits are slower), which the two halves of the step even out.
 */
import { type Instant, NEVER } from '../core/index.ts';
import type { Carrier } from './contacts.ts';
import { bpskBitErrorRate } from './erfc.ts';
import { NO_NOISE, type NoiseConfig } from './noise.ts';
import type { Stepped, Varying } from './timeline.ts';

export interface ElevationBer {
  readonly degrees: number;
  readonly ber: number;
}

const STEP = 1e9;
/** What no link of this kind can be told from: one error in a century at 100 kbit/s. */
const LEAST_BER = 1e-15;

/** Between the rows of the table (in rising order) the logarithm of the BER is a straight line; outside it stays as at the end. */
export function berFromTable(table: readonly ElevationBer[], degrees: number): number {
  const above = table.findIndex((row) => row.degrees >= degrees);
  if (above <= 0) return table.at(above)!.ber;
  const [low, high] = [table[above - 1]!, table[above]!];
  if (high.degrees === degrees) return high.ber;
  const share = (degrees - low.degrees) / (high.degrees - low.degrees);
  const logarithm = (ber: number) => Math.log(Math.max(LEAST_BER, ber));
  return Math.exp(logarithm(low.ber) + share * (logarithm(high.ber) - logarithm(low.ber)));
}

export interface LinkBudget {
  /** Eb/N0 with the satellite overhead at the mean height of its orbit. */
  readonly ebN0ZenithDecibels: number;
  readonly codingGainDecibels: number;
}

/**
 * Free-space loss goes with the square of the distance: Eb/N0 falls by 20 log10(range / zenith range). BPSK or QPSK, coherent.
 * @param rangeRatio slant range over the range at zenith
 */
export function berFromLinkBudget(budget: LinkBudget, rangeRatio: number): number {
  const decibels = budget.ebN0ZenithDecibels + budget.codingGainDecibels;
  const ber = bpskBitErrorRate(10 ** (decibels / 10) / (rangeRatio * rangeRatio));
  return ber <= LEAST_BER ? 0 : ber;
}

/** Noise of a BER that varies; none while there is no carrier to hit. */
export function steppedNoise(ber: Varying<number>, carrier: Carrier): Stepped<NoiseConfig> {
  let step = -1;
  let config = NO_NOISE;
  return {
    at(time) {
      if (!carrier.isUp(time)) return NO_NOISE;
      const now = Math.floor(time / STEP);
      if (now !== step) {
        step = now;
        config = { kind: 'independent', ber: sixDigits(ber.at(((now + 0.5) * STEP) as Instant)) };
      }
      return config;
    },
    nextChange(time) {
      if (!carrier.isUp(time)) return carrier.nextChange(time);
      const next = ((Math.floor(time / STEP) + 1) * STEP) as Instant;
      return next < NEVER ? next : NEVER;
    },
  };
}

/** So that the last bit of a sine or an exponential on another machine moves no error. */
const sixDigits = (x: number): number => Number(x.toPrecision(6));
