/**
 * Live changes as people write them, to what a line takes. All are checked before any is made.
 *
 *   down.ber=1e-5 up.delay=20ms rate=9600 jitter=0 down.burst=good:50k,bad:200,badBer:0.1,goodBer:1e-7
 *
 * A key without a direction means both. A changed setting is a constant from then on, in place of a time-line or geometry.
 */
import type { LineChange } from '../channel/index.ts';
import { OmniError } from '../core/index.ts';
import { didYouMean, type Parsed, parseBer, parseBits, parseDuration, parseRate } from '../scenario/index.ts';

export interface DirectedChange {
  readonly direction: 'up' | 'down';
  readonly change: LineChange;
}

/** The longest propagation delay, as in a scenario: Mars at its farthest and a little. */
const LONGEST_DELAY = 24 * 60e9;

const KEYS: Readonly<Record<string, (text: string) => Parsed<LineChange>>> = {
  rate: (text) => map(parseRate(text), (rateBitPerSecond) => ({ rateBitPerSecond })),
  delay: (text) => {
    const delay = parseDuration(text);
    if (delay.ok && delay.value > LONGEST_DELAY) return { ok: false, reason: 'the longest delay is 24min' };
    return map(delay, (value) => ({ delay: value }));
  },
  jitter: (text) => map(parseDuration(text), (jitter) => ({ jitter })),
  ber: (text) => map(parseBer(text), (ber) => ({ noise: { kind: 'independent', ber } })),
  burst: parseBurst,
};

const PATHS = Object.keys(KEYS).flatMap((key) => [key, `up.${key}`, `down.${key}`]);

/** Throws OmniError OMNI_BAD_CHANGE. */
export function parseLinkChanges(changes: Readonly<Record<string, unknown>>): DirectedChange[] {
  const made: DirectedChange[] = [];
  for (const [path, value] of Object.entries(changes)) {
    if (!PATHS.includes(path))
      throw new OmniError(
        'OMNI_BAD_CHANGE',
        `'${path}' cannot be changed while the link runs${didYouMean(path, PATHS)}`,
        {
          remedy: `${Object.keys(KEYS).join(', ')} can, for one direction (up.rate) or both (rate)`,
        },
      );
    const [first, second] = path.split('.') as [string, string | undefined];
    const parsed = KEYS[second ?? first]!(String(value));
    if (!parsed.ok) throw new OmniError('OMNI_BAD_CHANGE', `${path}: ${parsed.reason}`);
    const directions = second === undefined ? (['up', 'down'] as const) : ([first as 'up' | 'down'] as const);
    for (const direction of directions) {
      for (const key of Object.keys(parsed.value))
        if (made.some((other) => other.direction === direction && key in other.change))
          throw new OmniError(
            'OMNI_BAD_CHANGE',
            `${path}: ${direction} ${key === 'noise' ? 'has two kinds of errors' : `is set twice`}`,
          );
      made.push({ direction, change: parsed.value });
    }
  }
  return made;
}

const BURST_KEYS = ['good', 'bad', 'badBer', 'goodBer'];
const BURST = 'write good:50k,bad:200,badBer:0.1 (mean lengths in bits; goodBer is 0 unless given)';

/** Gilbert–Elliott: `good:50k,bad:200,badBer:0.1,goodBer:1e-7`. */
function parseBurst(text: string): Parsed<LineChange> {
  const given = new Map<string, string>();
  for (const part of text.split(',')) {
    const [key, value] = part.split(':') as [string, string | undefined];
    if (value === undefined || !BURST_KEYS.includes(key) || given.has(key))
      return { ok: false, reason: `'${part}' is not understood${didYouMean(key, BURST_KEYS)}; ${BURST}` };
    given.set(key, value);
  }
  for (const key of BURST_KEYS.slice(0, 3))
    if (!given.has(key)) return { ok: false, reason: `'${key}' is missing; ${BURST}` };
  const goodBits = parseBits(given.get('good')!);
  const badBits = parseBits(given.get('bad')!);
  const badBer = parseBer(given.get('badBer')!);
  const goodBer = parseBer(given.get('goodBer') ?? '0');
  for (const parsed of [goodBits, badBits, badBer, goodBer]) if (!parsed.ok) return parsed;
  const value = (parsed: Parsed<number>): number => (parsed.ok ? parsed.value : Number.NaN);
  return {
    ok: true,
    value: {
      noise: {
        kind: 'burst',
        goodBits: value(goodBits),
        badBits: value(badBits),
        goodBer: value(goodBer),
        badBer: value(badBer),
      },
    },
  };
}

const map = <A, B>(parsed: Parsed<A>, make: (value: A) => B): Parsed<B> =>
  parsed.ok ? { ok: true, value: make(parsed.value) } : parsed;
