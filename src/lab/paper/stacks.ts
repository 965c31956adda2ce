/** The TCP stacks that the figures compare, with the marks that they have in all of them. */
import { COLOUR, type Style } from './figure.ts';

export interface Stack {
  readonly key: '2000' | 'rfc2488' | 'cubic' | 'bbr';
  readonly name: string;
  readonly keys: Readonly<Record<string, unknown>>;
  /** Octets of TCP options in each segment: timestamps. */
  readonly optionOctets: 0 | 12;
  readonly style: Style;
}

export const STACKS: readonly Stack[] = [
  {
    ...{ key: '2000', name: 'TCP of 2000', keys: { stack: '2000' }, optionOctets: 0 },
    style: { colour: COLOUR.vermilion, symbol: 'circle' },
  },
  {
    ...{ key: 'rfc2488', name: 'RFC 2488', keys: { stack: 'rfc2488' }, optionOctets: 12 },
    style: { colour: COLOUR.purple, symbol: 'diamond' },
  },
  {
    ...{ key: 'cubic', name: 'CUBIC of today', keys: { stack: 'today', congestionControl: 'cubic' }, optionOctets: 12 },
    style: { colour: COLOUR.blue, symbol: 'triangle' },
  },
  {
    ...{ key: 'bbr', name: 'BBR', keys: { stack: 'bbr' }, optionOctets: 12 },
    style: { colour: COLOUR.green, symbol: 'square' },
  },
];

export const stackOf = (key: Stack['key']): Stack => STACKS.find((stack) => stack.key === key)!;

/** Full segments of so many octets of data, and the smallest MTU that holds them. */
export function segmentKeys(segment: number, { optionOctets }: Stack): Readonly<Record<string, unknown>> {
  return { segment, mtu: segment + optionOctets + 40 };
}

export const HOLLOW = { hollow: true, dash: '5 3' } as const;
