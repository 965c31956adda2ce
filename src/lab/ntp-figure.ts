/**
 * The data of figure 5 of the OMNI paper (NTP on UoSAT-12, 14 April 2000), replayed in virtual time: the offsets that the client
 * reported, as the paper drew them, beside the clock's true error, which the flight could not know. Pure: the same options give
 * the same samples. The simulation is src/apps/ntp/experiments.ts; drawing is the caller's.
 */
import { figure5, type Milestone, TICK_SECONDS } from '../apps/ntp/index.ts';

export interface Figure5Options {
  /** Of the jitter on the path. 1 unless given. */
  readonly seed?: number | string;
  /** With the links stamping their delays into the packets, which the flight did not have. */
  readonly corrected?: boolean;
}

export interface Figure5Sample {
  /** Seconds since the figure's left edge. */
  readonly time: number;
  /**
   * Only where the client calculated one, about every 30 s: by how many seconds it takes the clock to be ahead, which is NTP's
   * offset with the sign turned, so that it compares with `trueError`. The clock is as it was before this calculation's step.
   */
  readonly reportedOffset?: number;
  /** Seconds by which the clock really is ahead of the truth. */
  readonly trueError: number;
}

export interface Figure5Replay {
  /** In order of time: one each second, and one more at each calculation, just before its step. */
  readonly samples: readonly Figure5Sample[];
  /** The paper's three: within 2, 6 and 2 ticks. */
  readonly milestones: readonly Milestone[];
  /** When a command switched NTP on, and when one set the clock 3.25 s ahead. Seconds. */
  readonly enabledAt: number;
  readonly setAheadAt: number;
  /** What the clock counts in: 10 ms. */
  readonly tickSeconds: number;
}

export function replayFigure5(options: Figure5Options = {}): Figure5Replay {
  const { result, milestones, enabledAt, setAheadAt } = figure5(options);
  const samples: Figure5Sample[] = [
    ...result.trace.map(({ seconds, trueError }) => ({ time: seconds, trueError })),
    ...result.reported.map((r) => ({ time: r.seconds, reportedOffset: -r.offset, trueError: r.errorBefore })),
  ];
  return {
    samples: samples.sort((a, b) => a.time - b.time),
    milestones,
    enabledAt,
    setAheadAt,
    tickSeconds: TICK_SECONDS,
  };
}
