/**
 * Octets of the control connection → command lines (RFC 959 section 5.3, RFC 1123 sections 4.1.2.10 and 4.1.2.12, RFC 854).
 *
 * A line ends with CR LF; a bare LF is taken too because people type commands into netcat. CR NUL is a CR inside a name (RFC 2640
 * section 3.1). Telnet commands are removed wherever they stand: IAC IP and IAC DM (the SYNCH before an urgent ABOR) mean
 * nothing more here because every ABOR is acted on at once; WILL and DO are refused. IAC IAC is the octet 255, and an IAC before
 * an octet that is no Telnet command is kept as data, since clients with Latin-1 names do not double it.
 */
import { fromOctets } from './octet-text.ts';

/** A longest pathname (4096 octets) with its verb and a second argument fits. */
export const LINE_LIMIT_OCTETS = 8192;

export type ControlLine = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'too-long' };

const LF = 10;
const CR = 13;
const IAC = 255;
const TELNET = { firstCommand: 240, dataMark: 242, will: 251, wont: 252, do: 253, dont: 254 } as const;

export class ControlReader {
  readonly #line = new Uint8Array(LINE_LIMIT_OCTETS);
  #length = 0;
  #overflow = false;
  #telnet: 'data' | 'command' | 'will' | 'wont' | 'do' | 'dont' = 'data';
  #refusals: number[] = [];

  /** The lines that these octets complete. */
  read(octets: Uint8Array): ControlLine[] {
    const lines: ControlLine[] = [];
    for (const octet of octets) {
      if (this.#telnet !== 'data') this.#afterIac(octet);
      else if (octet === IAC) this.#telnet = 'command';
      else if (octet === LF) lines.push(this.#endLine());
      else this.#put(octet);
    }
    return lines;
  }

  /** Answers to Telnet negotiations (DONT and WONT), to be sent as they are. */
  takeRefusals(): Uint8Array | undefined {
    if (this.#refusals.length === 0) return undefined;
    const refusals = Uint8Array.from(this.#refusals);
    this.#refusals = [];
    return refusals;
  }

  /** Forgets what was received: nothing sent before TLS may count after it (RFC 4217 section 15.1). */
  clear(): void {
    this.#length = 0;
    this.#overflow = false;
    this.#telnet = 'data';
  }

  #put(octet: number): void {
    // The kernel takes the urgent octet of a SYNCH out of the stream, so its DM, or its IAC, may arrive alone in front of ABOR.
    if (octet === TELNET.dataMark && this.#length === 0) return;
    // CR NUL is CR in a name: only then does a CR stay in front of something that is not LF.
    if (octet === 0 && this.#length > 0 && this.#line[this.#length - 1] === CR) return;
    if (this.#length < LINE_LIMIT_OCTETS) this.#line[this.#length++] = octet;
    else this.#overflow = true;
  }

  #endLine(): ControlLine {
    let length = this.#length;
    if (length > 0 && this.#line[length - 1] === CR) length--;
    const overflow = this.#overflow;
    this.#length = 0;
    this.#overflow = false;
    return overflow ? { kind: 'too-long' } : { kind: 'line', text: fromOctets(this.#line.subarray(0, length)) };
  }

  #afterIac(octet: number): void {
    const state = this.#telnet;
    this.#telnet = 'data';
    if (state === 'will') this.#refuse(TELNET.dont, octet);
    else if (state === 'do') this.#refuse(TELNET.wont, octet);
    else if (state === 'command') {
      if (octet === IAC) this.#put(IAC);
      else if (octet === TELNET.will) this.#telnet = 'will';
      else if (octet === TELNET.wont) this.#telnet = 'wont';
      else if (octet === TELNET.do) this.#telnet = 'do';
      else if (octet === TELNET.dont) this.#telnet = 'dont';
      else if (octet < TELNET.firstCommand) {
        if (this.#length > 0) this.#put(IAC);
        this.#put(octet);
      }
    }
  }

  #refuse(verb: number, option: number): void {
    // A peer that only negotiates must not make us hold more and more.
    if (this.#refusals.length < 300) this.#refusals.push(IAC, verb, option);
  }
}
