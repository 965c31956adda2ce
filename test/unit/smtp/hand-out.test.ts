/** How much message data goes to the kernel: never more than the line can have under way, and before the end only what still arrives. */
import { describe, expect, it } from 'vitest';
import { HandOut, type LineNow } from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';

const CHUNK = 1448;
const wall = (seconds: number) => BigInt(Math.round(seconds * 1e9)) as WallTime;

interface LineOptions {
  /** Octets a second that the line really carries. */
  readonly carries: number;
  readonly rate: number;
  readonly seconds: number;
  /** How long an acknowledgement takes after arrival. */
  readonly acknowledgedAfter: number;
}

/** A line with a queue before it, fed as the relay feeds it; every 10 ms the relay looks. */
function fed({ carries, rate, seconds, acknowledgedAfter }: LineOptions) {
  const handOut = new HandOut(wall(0));
  const end = wall(seconds);
  const arrivals: { at: number; octets: number }[] = [];
  let freeAt = 0;
  let written = 0;
  let over: number | undefined;
  let longestQueue = 0;
  let pieces: number[] = [];
  for (let now = 0; now < seconds && over === undefined; now += 0.01) {
    for (;;) {
      const there = arrivals.filter(({ at }) => at + acknowledgedAfter <= now).reduce((sum, a) => sum + a.octets, 0);
      const line: LineNow = {
        pace: 1.02 * rate,
        rate,
        roundTripSeconds: 0.13,
        end,
        unacknowledged: written - there,
      };
      const decision = handOut.decide(CHUNK, wall(now), line);
      if (decision.kind === 'over') over = now;
      if (decision.kind !== 'octets') break;
      freeAt = Math.max(freeAt, now) + decision.octets / carries;
      arrivals.push({ at: freeAt, octets: decision.octets });
      written += decision.octets;
      pieces = [...pieces, decision.octets];
      longestQueue = Math.max(longestQueue, freeAt - now);
    }
  }
  return { written, over, lastArrival: freeAt, longestQueue, pieces };
}

describe('message data handed to the kernel', () => {
  it.each([
    ['as the plan says', { carries: 1134, acknowledgedAfter: 0.1 }],
    ['slower than the plan says', { carries: 1080, acknowledgedAfter: 0.1 }],
    ['with acknowledgements behind packets of the other direction', { carries: 1100, acknowledgedAfter: 2.5 }],
  ])('all arrives before the end, and the line is hardly ever idle: %s', (_, line) => {
    const seconds = 60;
    const { written, over, lastArrival, longestQueue } = fed({ ...line, rate: 1134, seconds });
    expect(lastArrival).toBeLessThan(seconds);
    // Undefined: acknowledgements that come after the end would have told.
    expect(over ?? seconds).toBeGreaterThan(seconds - 1);
    expect(longestQueue).toBeLessThan(5.2);
    // Two seconds to begin with, and at the end what an acknowledgement takes.
    expect(written).toBeGreaterThan(line.carries * (seconds - 3.5 - line.acknowledgedAfter));
  });

  it('begins with small pieces, one after the other, so that TCP learns how long they take', () => {
    const { pieces } = fed({ carries: 1134, rate: 1134, seconds: 30, acknowledgedAfter: 0.1 });
    expect(pieces[0]).toBeLessThan(300);
    expect(pieces.slice(1, 12).every((octets, i) => octets >= pieces[i]!)).toBe(true);
    expect(Math.max(...pieces)).toBe(CHUNK);
  });

  it('goes on without the kernel’s word at the plan’s pace', () => {
    const handOut = new HandOut(wall(0));
    const line = { pace: 1134, rate: 1134, roundTripSeconds: 0, end: undefined, unacknowledged: undefined };
    let octets = 0;
    for (let now = 0; now < 60; now += 0.01) {
      const decision = handOut.decide(CHUNK, wall(now), line);
      if (decision.kind === 'octets') octets += decision.octets;
    }
    expect(octets / 60).toBeGreaterThan(1134);
    expect(octets / 60).toBeLessThan(1134 + (4 * CHUNK) / 60);
  });

  it('ends only when the line has carried all', () => {
    const handOut = new HandOut(wall(0));
    const line = { pace: 1134, rate: 1134, roundTripSeconds: 0.1, end: wall(1), unacknowledged: 0 };
    expect(handOut.decide(CHUNK, wall(0), line)).toEqual({ kind: 'octets', octets: 256 });
    const after = { ...line, unacknowledged: 256 };
    expect(handOut.decide(CHUNK, wall(0.1), after)).toMatchObject({ kind: 'wait' });
    // Had it been first on the line, it would be there now.
    expect(handOut.decide(CHUNK, wall(0.2), { ...after, end: wall(0.3) })).toMatchObject({ kind: 'wait' });
    expect(handOut.decide(CHUNK, wall(0.25), { ...after, end: wall(0.3) })).toEqual({ kind: 'over' });
    expect(handOut.decide(CHUNK, wall(0.25), { ...line, end: wall(0.3) })).toEqual({ kind: 'over' });
  });
});
