/**
 * message/partial (RFC 2046 section 5.2.2): a message too long for a pass goes in parts, and the relay behind the pass joins them.
 * The parts are cut at line ends of the encoded whole, which must be 7-bit. The header of the whole lies in the first part:
 * the fields that RFC 2046 names there (Content-*, Subject, Message-ID, Encrypted, MIME-Version), the rest comes from the outer one.
 */
import { fieldOf, type HeaderSection } from './message-scanner.ts';

export interface PartialInfo {
  readonly id: string;
  readonly number: number;
  /** Required in the last part; we write it in each. */
  readonly total: number | undefined;
}

const MOST_PARTS = 10_000;

/** Undefined when the message is no part, or not as RFC 2046 says. */
export function partialInfo(header: HeaderSection): PartialInfo | undefined {
  const type = fieldOf(header, 'content-type');
  if (type === undefined || !/^message\/partial\b/i.test(type)) return undefined;
  const parameter = (name: string) => {
    const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^\\s;]+))`, 'i').exec(type);
    return match?.[1] ?? match?.[2];
  };
  const id = parameter('id');
  const number = Number(parameter('number'));
  const total = parameter('total') === undefined ? undefined : Number(parameter('total'));
  const valid = (n: number) => Number.isInteger(n) && n >= 1 && n <= MOST_PARTS;
  if (id === undefined || id === '' || id.length > 250 || !valid(number)) return undefined;
  if (total !== undefined && (!valid(total) || number > total)) return undefined;
  return { id, number, total };
}

export interface PartPlan {
  readonly offset: number;
  readonly octets: number;
}

/**
 * Cuts `octets` into pieces of at most `partOctets`. The cuts are refined by the caller to the line end before each.
 * @param lineEndBefore the offset just behind the last line end at or before an offset.
 */
export async function planParts(
  octets: number,
  partOctets: number,
  lineEndBefore: (offset: number) => Promise<number>,
): Promise<PartPlan[]> {
  const parts: PartPlan[] = [];
  for (let offset = 0; offset < octets; ) {
    const wanted = Math.min(octets, offset + partOctets);
    let end = wanted === octets ? octets : await lineEndBefore(wanted);
    // A line longer than a part: cut it; the join does not care.
    if (end <= offset) end = wanted;
    parts.push({ offset, octets: end - offset });
    offset = end;
  }
  return parts;
}

/** The header of one part, the empty line included. */
export function partHeader(whole: HeaderSection, info: Required<PartialInfo>, messageId: string): string {
  const kept = ['from', 'to', 'date', 'x-priority', 'mt-priority']
    .map((name) => ({ name, value: fieldOf(whole, name) }))
    .filter(({ value }) => value !== undefined)
    .map(({ name, value }) => `${name[0]!.toUpperCase()}${name.slice(1)}: ${value}`);
  const subject = fieldOf(whole, 'subject') ?? '';
  return [
    ...kept,
    `Subject: ${subject} (${info.number}/${info.total})`,
    `Message-ID: ${messageId}`,
    'MIME-Version: 1.0',
    `Content-Type: message/partial; number=${info.number}; total=${info.total};\r\n\tid="${info.id}"`,
    '',
    '',
  ].join('\r\n');
}

/** Fields of the enclosed header that replace those of the outer one when the parts are joined. */
const FROM_INNER = /^(content-.*|subject|message-id|encrypted|mime-version)$/;

/** RFC 2046 section 5.2.2.1: the joined message's header from the first part's outer and enclosed ones. */
export function joinedHeader(outer: HeaderSection, inner: HeaderSection): string {
  const fields = [
    ...outer.filter(({ name }) => !FROM_INNER.test(name)),
    ...inner.filter(({ name }) => FROM_INNER.test(name)),
  ];
  return `${fields.map(({ name, value }) => `${capitalise(name)}: ${value}`).join('\r\n')}\r\n\r\n`;
}

const capitalise = (name: string): string => name.replace(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
