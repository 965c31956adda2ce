import { describe, expect, it } from 'vitest';
import {
  type Candidate,
  type Contact,
  chooseNext,
  LinkEstimator,
  type PredictionInput,
  paceOf,
  predict,
  secondsBetween,
  wallPlus,
} from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';

const START = 955_000_000_000_000_000n as WallTime;
const at = (seconds: number) => wallPlus(START, seconds);
const mail = (id: string, priority: number, octetsLeft: number): Candidate => ({
  id,
  priority,
  octetsLeft,
  arrived: START,
});

describe('the choice of the next message', () => {
  const queue = [mail('small', 0, 100), mail('large', 0, 960), mail('urgent', 4, 500), mail('later', -4, 10)];

  it('is by priority, and small before large inside a class', () => {
    const order: string[] = [];
    for (let rest = queue; rest.length > 0; rest = rest.filter(({ id }) => id !== order.at(-1)))
      order.push(chooseNext(rest, { octets: undefined, checkpoint: true })!.id);
    expect(order).toEqual(['urgent', 'small', 'large', 'later']);
  });

  it('is the large one when the class does not fit and it fits exactly', () => {
    const rest = queue.filter(({ priority }) => priority === 0);
    expect(chooseNext(rest, { octets: 1000, checkpoint: false })?.id).toBe('large');
    expect(chooseNext(rest, { octets: 2000, checkpoint: false })?.id).toBe('small');
  });

  it('is never one that cannot end in the contact, unless the peer keeps what came', () => {
    const large = [mail('large', 0, 5000)];
    expect(chooseNext(large, { octets: 1000, checkpoint: false })).toBeUndefined();
    expect(chooseNext(large, { octets: 1000, checkpoint: true })?.id).toBe('large');
  });
});

const contact = (begin: number, end: number, octetsOut?: number): Contact => ({
  peer: 'craft',
  begin: at(begin),
  end: at(end),
  ...(octetsOut === undefined ? {} : { octetsOut }),
});
const seconds = (input: Partial<PredictionInput>) => {
  const costs = { shareOfPlan: 1, setupSeconds: 1, firstSeconds: 2, nextSeconds: 1 };
  const found = predict({
    candidates: [],
    contacts: [contact(1000, 1600, 600_000)],
    model: { octetsPerSecond: undefined, quiet: costs, busy: costs },
    checkpoint: true,
    connected: false,
    carriedAt: START,
    path: 'quiet',
    arrivals: { seconds: 0, messages: [] },
    now: START,
    ...input,
  });
  return Object.fromEntries([...found].map(([id, { expected }]) => [id, secondsBetween(START, expected)]));
};

describe('the prediction', () => {
  it('walks the contact in the order of transmission', () => {
    const candidates = [mail('b', 0, 20_000), mail('a', 0, 10_000), mail('c', 4, 30_000)];
    expect(seconds({ candidates })).toEqual({ c: 1033, a: 1044, b: 1065 });
  });

  it('goes on in the next contact with what did not end, at that contact’s own rate', () => {
    const contacts = [contact(1000, 1100, 100_000), contact(5000, 5100, 200_000)];
    expect(seconds({ candidates: [mail('a', 0, 157_000)], contacts })).toEqual({ a: 5032 });
    expect(seconds({ candidates: [mail('a', 0, 157_000)], contacts, checkpoint: false })).toEqual({ a: 5081.5 });
  });

  it('begins now in a contact that runs, and counts what a running message has spent', () => {
    const now = at(1100);
    const running = { ...mail('a', -4, 10_000), rank: 0, secondsSpent: 4 };
    const candidates = [mail('b', 4, 1000), running];
    expect(seconds({ candidates, now, connected: true })).toEqual({ a: 1108, b: 1110 });
  });

  it('foresees mail of the kind that came lately, and not the rare message that will probably not come', () => {
    const candidates = [mail('a', 0, 10_000)];
    const small = Array.from({ length: 20 }, () => ({ priority: 4, octets: 1000 }));
    expect(seconds({ candidates }).a).toBe(1013);
    const expected = seconds({ candidates, arrivals: { seconds: 2000, messages: small } }).a!;
    expect(expected).toBeCloseTo(1013 + 10 * 2, -1);
    const rare = [...small, { priority: 4, octets: 300_000 }];
    expect(seconds({ candidates, arrivals: { seconds: 4000, messages: rare } }).a).toBeLessThan(1030);
    expect(seconds({ candidates, arrivals: { seconds: 800, messages: rare } }).a).toBeGreaterThan(1200);
  });

  it('says nothing when no rate is known or no contact takes the message', () => {
    expect(seconds({ candidates: [mail('a', 0, 10)], contacts: [contact(1000, 1600)] })).toEqual({});
    expect(seconds({ candidates: [mail('a', 0, 1e9)] })).toEqual({});
  });
});

describe('the pace', () => {
  const pace = (octetsOut: number, path: 'quiet' | 'busy') =>
    paceOf(contact(0, 1000, octetsOut), new LinkEstimator().model, path)!;

  it('stays below what the headers leave of the plan’s rate', () => {
    for (const path of ['quiet', 'busy'] as const)
      for (const rate of [1200, 4800, 64_000, 1_250_000]) {
        const { octetsPerSecond, chunkOctets } = pace(rate * 1000, path);
        const packet = Math.min(1448, chunkOctets);
        expect(octetsPerSecond).toBeLessThanOrEqual((rate * packet) / (packet + 60));
        expect(octetsPerSecond).toBeGreaterThan((0.88 * rate * packet) / (packet + 60));
      }
  });

  it('makes shorter packets of a slow line’s data while the peer sends too', () => {
    expect(pace(1_200_000, 'quiet').chunkOctets).toBe(1448);
    expect(pace(1_200_000, 'busy').chunkOctets).toBe(512);
    expect(pace(4_800_000, 'busy').chunkOctets).toBe(1140);
    expect(pace(64_000_000, 'busy')).toEqual(pace(64_000_000, 'quiet'));
  });
});

describe('the learned cost of a link', () => {
  it('separates the fixed time from the rate, quiet from busy, and the first message from those behind it', () => {
    const estimator = new LinkEstimator();
    for (let i = 0; i < 60; i++)
      for (const [path, first, fixed] of [
        ['quiet', true, 0.4],
        ['quiet', false, 0.2],
        ['busy', false, 1.5],
      ] as const) {
        const octets = 1000 + ((i * 7919) % 20_000);
        estimator.transfer({ octets, seconds: fixed + octets / 4500, planRate: 4800, path, first });
      }
    const { quiet, busy } = estimator.model;
    expect(quiet.shareOfPlan).toBeCloseTo(4500 / 4800, 1);
    expect(quiet.firstSeconds).toBeCloseTo(0.4, 0);
    expect(quiet.nextSeconds).toBeLessThan(quiet.firstSeconds);
    expect(busy.nextSeconds).toBeGreaterThan(1.2);
  });

  it('begins with the plan’s rate less the octets that frames take', () => {
    expect(new LinkEstimator().model).toMatchObject({ octetsPerSecond: undefined, quiet: { shareOfPlan: 0.94 } });
  });
});
