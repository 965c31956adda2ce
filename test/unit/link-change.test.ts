import { describe, expect, test } from 'vitest';
import { parseLinkChanges } from '../../src/testbed/link-change.ts';

describe('live changes', () => {
  test('every key, in the units of scenarios, for one direction or both, and back to zero', () => {
    expect(parseLinkChanges({ 'down.ber': '1e-5', 'up.delay': '20ms', jitter: '0', 'up.rate': '9.6k' })).toEqual([
      { direction: 'down', change: { noise: { kind: 'independent', ber: 1e-5 } } },
      { direction: 'up', change: { delay: 20e6 } },
      { direction: 'up', change: { jitter: 0 } },
      { direction: 'down', change: { jitter: 0 } },
      { direction: 'up', change: { rateBitPerSecond: 9600 } },
    ]);
    expect(parseLinkChanges({ 'down.ber': 0 })).toEqual([
      { direction: 'down', change: { noise: { kind: 'independent', ber: 0 } } },
    ]);
    expect(parseLinkChanges({ 'down.burst': 'good:50k,bad:200,badBer:0.1,goodBer:1e-7' })).toEqual([
      {
        direction: 'down',
        change: { noise: { kind: 'burst', goodBits: 50_000, badBits: 200, badBer: 0.1, goodBer: 1e-7 } },
      },
    ]);
  });

  test.each([
    [{ 'down.bre': '1' }, "did you mean 'down.ber'?"],
    [{ 'dwon.ber': '1' }, "did you mean 'down.ber'?"],
    [{ mtu: '1500' }, "'mtu' cannot be changed while the link runs"],
    [{ constructor: '1' }, "'constructor' cannot be changed"],
    [{ 'up.rate.x': '1' }, "'up.rate.x' cannot be changed"],
    [{ rate: '0' }, 'rate: a rate of zero never sends a bit'],
    [{ 'up.delay': '-3ms' }, 'up.delay: a time cannot be negative'],
    [{ 'up.delay': '1d' }, 'the longest delay is 24min'],
    [{ 'up.delay': '20' }, "'20' has no unit"],
    [{ ber: '0.6' }, 'a bit error rate lies between 0 and 0.5'],
    [{ ber: '1e-5', 'up.burst': 'good:1,bad:1,badBer:0' }, 'up has two kinds of errors'],
    [{ delay: '1ms', 'up.delay': '2ms' }, 'up is set twice'],
    [{ burst: 'good:50k,bad:200' }, "'badBer' is missing"],
    [{ burst: 'good:50k,bad:200,badber:1' }, "did you mean 'badBer'?"],
    [{ burst: 'good:0,bad:200,badBer:0.1' }, 'a mean length is at least 1 bit'],
  ])('%j is refused', (changes, message) => {
    expect(() => parseLinkChanges(changes as unknown as Record<string, string>)).toThrow(message);
  });
});
