/** Replies of the control connection (RFC 959 section 4.2). Texts are octet text; control characters never reach the wire. */
import { printable } from './octet-text.ts';

export interface Reply {
  readonly code: number;
  /** One line, or several: then the first and last carry the code and those between are indented (RFC 959, page 36). */
  readonly lines: readonly string[];
}

export const reply = (code: number, ...lines: string[]): Reply => ({ code, lines });

export function formatReply({ code, lines }: Reply): string {
  if (lines.length <= 1) return `${code} ${printable(lines[0] ?? '')}\r\n`;
  const inner = lines.slice(1, -1).map((line) => ` ${printable(line)}\r\n`);
  return `${code}-${printable(lines[0]!)}\r\n${inner.join('')}${code} ${printable(lines.at(-1)!)}\r\n`;
}

/** A pathname in a 257 reply: quoted, with `"` doubled (RFC 959, appendix II). */
export const quoted = (path: string): string => `"${path.replaceAll('"', '""')}"`;
