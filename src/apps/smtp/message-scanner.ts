/**
 * Looks at a message's octets as they pass, whatever their chunking: its header section, whether its lines all end in CRLF,
 * where the last line began, and whether it has 8-bit octets. Keeps the header section up to a limit and nothing else.
 *
 * A bare CR or bare LF is what SMTP smuggling is made of: two servers that disagree on where the message ends. RFC 5321
 * section 2.3.8 forbids both, so the receiver refuses such a message, and nothing that is stored can smuggle onward.
 */
const CR = 13;
const LF = 10;
const decoder = new TextDecoder('utf-8');

export class MessageScanner {
  readonly #limit: number;
  #header = new Uint8Array(1024);
  #headerLength = 0;
  #inHeader = true;
  #headerTooLong = false;
  #lineLength = 0;
  #previous = -1;
  #octets = 0;
  #lineStart = 0;
  #bare = false;
  #eightBit = false;

  /** @param headerLimitOctets beyond this the header section counts as too long. */
  constructor(headerLimitOctets: number) {
    this.#limit = headerLimitOctets;
  }

  write(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length; i++) {
      const octet = chunk[i]!;
      if (this.#previous === CR ? octet !== LF : octet === LF) this.#bare = true;
      if (octet > 127) this.#eightBit = true;
      this.#octets++;
      if (this.#inHeader) this.#keep(octet);
      if (octet === LF) {
        if (this.#inHeader && this.#lineLength === (this.#previous === CR ? 1 : 0)) this.#inHeader = false;
        this.#lineStart = this.#octets;
        this.#lineLength = 0;
      } else this.#lineLength++;
      this.#previous = octet;
    }
  }

  #keep(octet: number): void {
    if (this.#headerLength >= this.#limit) {
      this.#headerTooLong = true;
      return;
    }
    if (this.#headerLength === this.#header.length) {
      const bigger = new Uint8Array(Math.min(this.#limit, this.#header.length * 4));
      bigger.set(this.#header);
      this.#header = bigger;
    }
    this.#header[this.#headerLength++] = octet;
  }

  /** Goes on behind octets of an earlier session, `total` in all, of which it has seen as many as the header section needs. */
  resume(total: number): void {
    this.#bare = false;
    this.#octets = total;
    this.#lineStart = total;
    this.#lineLength = 0;
    this.#previous = LF;
  }

  get octets(): number {
    return this.#octets;
  }
  /** The offset at which the last line began: where RFC 1845 may go on. */
  get lineStart(): number {
    return this.#lineStart;
  }
  /** A bare CR or LF has been seen; a CR that came last may still get its LF. */
  get hasBareBefore(): boolean {
    return this.#bare;
  }
  /** At the end of the message: a CR without its LF counts too. */
  get hasBareLineEnd(): boolean {
    return this.#bare || this.#previous === CR;
  }
  get endsWithLine(): boolean {
    return this.#octets === 0 || this.#lineStart === this.#octets;
  }
  get eightBit(): boolean {
    return this.#eightBit;
  }
  get headerTooLong(): boolean {
    return this.#headerTooLong;
  }
  get inHeader(): boolean {
    return this.#inHeader;
  }
  get header(): HeaderSection {
    return parseHeader(this.#header.subarray(0, this.#headerLength));
  }
}

export interface HeaderField {
  readonly name: string;
  /** Unfolded, without the white space around it. */
  readonly value: string;
}
export type HeaderSection = readonly HeaderField[];

/** Fields in order, names lower case (RFC 5322 section 2.2); lines that are no field are left out. */
export function parseHeader(octets: Uint8Array): HeaderSection {
  const fields: { name: string; value: string }[] = [];
  for (const line of decoder.decode(octets).split(/\r?\n/)) {
    if (line === '') break;
    const last = fields.at(-1);
    if (/^[ \t]/.test(line)) {
      if (last !== undefined) last.value = `${last.value} ${line.trim()}`.trim();
      continue;
    }
    const match = /^([!-9;-~]+)[ \t]*:(.*)$/.exec(line);
    if (match !== null) fields.push({ name: match[1]!.toLowerCase(), value: match[2]!.trim() });
  }
  return fields;
}

export const fieldOf = (header: HeaderSection, name: string): string | undefined =>
  header.find((field) => field.name === name)?.value;

/** How often the message was relayed: RFC 5321 section 6.3 counts `Received` fields to stop loops. */
export const receivedCount = (header: HeaderSection): number => header.filter((f) => f.name === 'received').length;

/**
 * The priority that the header asks for, −9 … 9, or undefined. `MT-Priority` (RFC 6758) is exact; X-Priority 1 … 5, Importance
 * (RFC 4021) and Precedence are what mail programs write; their values map as RFC 6758 section 3 suggests for 1 = highest.
 */
export function headerPriority(header: HeaderSection): number | undefined {
  const exact = fieldOf(header, 'mt-priority');
  if (exact !== undefined && /^[+-]?[0-9]\b/.test(exact)) return Number.parseInt(exact, 10);
  const numbered = /^([1-5])\b/.exec(fieldOf(header, 'x-priority') ?? '');
  if (numbered !== null) return [4, 2, 0, -2, -4][Number(numbered[1]) - 1]!;
  const words = `${fieldOf(header, 'importance') ?? fieldOf(header, 'priority') ?? ''}`.toLowerCase();
  if (/^(high|urgent)\b/.test(words)) return 4;
  if (/^(low|non-urgent)\b/.test(words)) return -4;
  return undefined;
}
