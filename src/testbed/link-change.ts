/** Live changes as people write them, `down.ber=1e-5 up.delay=20ms`, to what a line takes. All are checked before any is made. */
import type { LineChange } from '../channel/index.ts';
import { OmniError } from '../core/index.ts';
import { type Parsed, parseBer, parseDuration, parseRate } from '../scenario/index.ts';

export interface DirectedChange {
  readonly direction: 'up' | 'down';
  readonly change: LineChange;
}

const BOTH = ['up', 'down'] as const;

const KEYS: Readonly<Record<string, (text: string) => Parsed<LineChange>>> = {
  rate: (text) => map(parseRate(text), (rateBitPerSecond) => ({ rateBitPerSecond })),
  delay: (text) => map(parseDuration(text), (delay) => ({ delay })),
  jitter: (text) => map(parseDuration(text), (jitter) => ({ jitter })),
  ber: (text) => map(parseBer(text), (ber) => ({ noise: { kind: 'independent', ber } })),
};

/** Throws OmniError OMNI_BAD_CHANGE. Keys: `up.rate`, `down.ber`, …; without a direction both are meant. */
export function parseLinkChanges(changes: Readonly<Record<string, unknown>>): DirectedChange[] {
  const made: DirectedChange[] = [];
  for (const [path, value] of Object.entries(changes)) {
    const [first, second] = path.split('.', 2);
    const one = BOTH.find((direction) => direction === first);
    const key = (one === undefined ? path : second) ?? '';
    const parse = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (parse === undefined)
      throw new OmniError('OMNI_BAD_CHANGE', `'${path}' cannot be changed while the link runs`, {
        remedy: `${Object.keys(KEYS).join(', ')} can, for one direction (up.rate) or both (rate)`,
      });
    const parsed = parse(String(value));
    if (!parsed.ok) throw new OmniError('OMNI_BAD_CHANGE', `${path}: ${parsed.reason}`);
    for (const direction of one === undefined ? (['up', 'down'] as const) : [one])
      made.push({ direction, change: parsed.value });
  }
  return made;
}

const map = <A, B>(parsed: Parsed<A>, make: (value: A) => B): Parsed<B> =>
  parsed.ok ? { ok: true, value: make(parsed.value) } : parsed;
