/** SMTP replies (RFC 5321 section 4.2, RFC 2034/3463 enhanced codes) from a stream of octets. */
export interface Reply {
  readonly code: number;
  /** `5.1.1` and the like; undefined when the peer gave none. */
  readonly status: string | undefined;
  /** The text of all lines, without codes, joined by one space. */
  readonly text: string;
  readonly lines: readonly string[];
}

/** RFC 5321 section 4.5.3.1.5 allows 512 octets a line; what is longer or never ends is a broken peer. */
const LINE_LIMIT = 4096;
const LINES_LIMIT = 200;

const decoder = new TextDecoder('utf-8');

export class ReplyReader {
  #pending = '';
  #lines: string[] = [];

  /** Complete replies; `undefined` once the peer sends what no SMTP server sends: give the connection up. */
  read(octets: Uint8Array): Reply[] | undefined {
    this.#pending += decoder.decode(octets);
    const replies: Reply[] = [];
    for (;;) {
      const end = this.#pending.indexOf('\n');
      if (end < 0) break;
      const line = this.#pending.slice(0, end).replace(/\r$/, '');
      this.#pending = this.#pending.slice(end + 1);
      const match = /^([2-5][0-9]{2})(?:([ -])(.*))?$/.exec(line);
      if (match === null || this.#lines.length >= LINES_LIMIT) return undefined;
      this.#lines.push(match[3] ?? '');
      if (match[2] === '-') continue;
      replies.push(makeReply(Number(match[1]), this.#lines));
      this.#lines = [];
    }
    return this.#pending.length > LINE_LIMIT ? undefined : replies;
  }
}

function makeReply(code: number, lines: readonly string[]): Reply {
  const status = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/.exec(lines[0] ?? '')?.[1];
  const text = lines.map((line) => (status === undefined ? line : line.replace(`${status} `, ''))).join(' ');
  return { code, status, text, lines };
}

/** A reply that no peer sent: the connection was lost, or the client refused by itself. */
export const ownReply = (code: number, status: string, text: string): Reply => ({ code, status, text, lines: [text] });

export const isPositive = (reply: Reply): boolean => reply.code >= 200 && reply.code < 300;
export const isPermanent = (reply: Reply): boolean => reply.code >= 500;

/** `550 5.1.1 no such user`, for diagnostics. */
export const formatReply = (reply: Reply): string =>
  `${reply.code}${reply.status ? ` ${reply.status}` : ''} ${reply.text}`.trim();
