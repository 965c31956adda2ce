/**
 * The names that a job may vary: short ones for the link that is measured and for TCP, and any scenario key by its dotted path.
 *
 *   rate delay jitter ber queue          both directions of the link; `down.ber`, `up.rate`: one of them
 *   rtt                                  both delays, half each
 *   asymmetry                            the rate of the data's direction ÷ that of the other
 *   mtu fcs framing flags lineCoding contacts los preset
 *   stack congestionControl mss sack …   TCP of every node; `mss` is what is announced (RFC 9293 3.7.1)
 *   segment                              octets of data in a full segment: what timestamps take is added to the MSS
 *   workload, workload.octets …          the traffic
 *   links.space.down.ber, nodes.…        any scenario key
 */
import { didYouMean, parseDuration, parseRate } from '../../scenario/index.ts';
import { PRESETS, type Preset } from '../../scenario/presets.ts';
import { SweepError } from './error.ts';

export type Json = null | string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
export type Document = Record<string, unknown>;

const DIRECTION_KEYS = ['rate', 'delay', 'jitter', 'ber', 'queue'];
const LINK_KEYS = ['mtu', 'fcs', 'framing', 'dlci', 'flags', 'lineCoding', 'contacts', 'los', 'preset'];
const TCP_KEYS = [
  ...['stack', 'congestionControl', 'sack', 'rack', 'frto', 'timestamps', 'windowScaling', 'ecn', 'minimumRto'],
  ...['initialWindow', 'receiveWindow', 'bufferOctets', 'maximumSegment'],
];
const SCENARIO_KEYS = ['links', 'nodes', 'networks', 'tcp', 'classes', 'offloads', 'epoch'];
const SPECIAL_KEYS = ['rtt', 'asymmetry', 'mss', 'segment'];
const TIMESTAMP_OCTETS = 12;
const SMALLEST_RATE = 100;

/** Whether the key speaks of the workload and not of the scenario. */
export const isWorkloadKey = (key: string): boolean => key === 'workload' || key.startsWith('workload.');

/** Paths and values that a key stands for, in a scenario document that has the earlier keys already. */
export function expandKey(
  key: string,
  value: Json,
  { document, link, direction }: { document: Document; link: string; direction: 'up' | 'down' },
): [path: string, value: Json][] {
  const [first = '', ...rest] = key.split('.');
  const at = (path: string) => `links.${link}.${path}`;
  if ((first === 'up' || first === 'down') && rest.length > 0) return [[at(key), value]];
  if (DIRECTION_KEYS.includes(key)) return (['up', 'down'] as const).map((way) => [at(`${way}.${key}`), value]);
  if (LINK_KEYS.includes(first)) return [[at(key), value]];
  // A stack may be written 2000 or '2000'.
  if (key === 'stack' || key === 'tcp.stack') return [['tcp.stack', String(value)]];
  if (TCP_KEYS.includes(key)) return [[`tcp.${key}`, value]];
  if (SCENARIO_KEYS.includes(first)) return [[key, value]];
  switch (key) {
    case 'mss':
      return [['tcp.maximumSegment', value]];
    case 'segment':
      return [['tcp.maximumSegment', wholeNumber(key, value) + (hasTimestamps(document) ? TIMESTAMP_OCTETS : 0)]];
    case 'rtt': {
      const parsed = parseDuration(value as string | number);
      if (!parsed.ok) throw new SweepError(key, parsed.reason);
      const half = parsed.value / 2;
      return [
        [at('up.delay'), `${Math.floor(half)}ns`],
        [at('down.delay'), `${Math.ceil(half)}ns`],
      ];
    }
    case 'asymmetry': {
      const ratio = Number(value);
      if (!(ratio > 0)) throw new SweepError(key, `'${String(value)}' is not a ratio of rates such as 50`);
      const other = direction === 'down' ? 'up' : 'down';
      const slower = rateOf(document, link, direction, key) / ratio;
      if (slower < SMALLEST_RATE)
        throw new SweepError(
          key,
          `${ratio}:1 leaves ${slower.toPrecision(3)} bit/s; the lowest rate is ${SMALLEST_RATE}`,
        );
      return [[at(`${other}.rate`), slower]];
    }
    default:
      throw unknownKey(key);
  }
}

/** Keys whose values depend on others come last, whatever their order in the job. */
export function inOrder(keys: readonly string[]): string[] {
  const late = (key: string) => (key === 'asymmetry' || key === 'segment' ? 1 : key === 'preset' ? -1 : 0);
  return [...keys].sort((a, b) => late(a) - late(b));
}

export function unknownKey(key: string): SweepError {
  const known = [
    ...['workload', ...SPECIAL_KEYS, ...DIRECTION_KEYS, ...LINK_KEYS, ...TCP_KEYS, ...SCENARIO_KEYS],
    ...DIRECTION_KEYS.flatMap((name) => [`up.${name}`, `down.${name}`]),
  ];
  const hint = didYouMean(key, known);
  const shorts = [...SPECIAL_KEYS, ...DIRECTION_KEYS, ...LINK_KEYS, 'stack', 'workload'].join(', ');
  return new SweepError(
    key,
    `unknown key${hint}`,
    hint === '' ? `short names are ${shorts}; others are scenario keys by their path` : undefined,
  );
}

/** `links.space.down.ber`, `classes[0].priority`; below `sysctl` the rest is one key. */
export function splitPath(path: string): (string | number)[] {
  const sysctl = /^(.*\.sysctl)\.(.+)$/.exec(path);
  const [start, last] = sysctl === null ? [path, []] : [sysctl[1]!, [sysctl[2]!]];
  const words = start.split('.').flatMap((word) => {
    const [, name, indices = ''] = /^([^[\]]+)((?:\[\d+\])*)$/.exec(word) ?? [undefined, word];
    return [name!, ...[...indices.matchAll(/\d+/g)].map(([n]) => Number(n))];
  });
  return [...words, ...last];
}

export function setPath(document: Document, path: string, value: Json): void {
  const words = splitPath(path);
  let here = document as Record<string | number, unknown>;
  for (const word of words.slice(0, -1)) {
    if (typeof here[word] !== 'object' || here[word] === null) here[word] = {};
    here = here[word] as Record<string | number, unknown>;
  }
  here[words.at(-1)!] = value;
}

export function getPath(document: Document, path: string): unknown {
  return splitPath(path).reduce<unknown>((here, word) => (here as Document | undefined)?.[word], document);
}

function hasTimestamps(document: Document): boolean {
  const tcp = (document.tcp ?? {}) as { timestamps?: boolean; stack?: unknown };
  return tcp.timestamps ?? String(tcp.stack ?? 'today') !== '2000';
}

function rateOf(document: Document, link: string, direction: 'up' | 'down', key: string): number {
  const preset = getPath(document, `links.${link}.preset`) as keyof typeof PRESETS | undefined;
  const base: Preset | undefined = preset === undefined ? undefined : PRESETS[preset];
  const value = getPath(document, `links.${link}.${direction}.rate`) ?? base?.[direction].rate;
  const parsed = parseRate(value as string | number);
  if (typeof value !== 'string' && typeof value !== 'number')
    throw new SweepError(key, `links.${link}.${direction}.rate is not one rate that a ratio could be taken of`);
  if (!parsed.ok) throw new SweepError(`${direction}.rate`, parsed.reason);
  return parsed.value;
}

function wholeNumber(key: string, value: Json): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new SweepError(key, `'${String(value)}' is not a number of octets`);
  return number;
}
