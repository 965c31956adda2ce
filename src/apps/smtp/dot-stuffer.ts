/**
 * Transparency (RFC 5321 section 4.5.2) for a stream in chunks: a line that begins with a dot gets another one.
 *
 * A dot behind a bare LF or a bare CR is stuffed too. No stored message has one (the receiver refuses them), but if one ever
 * came here, no server, however it counts its lines, could find the end of the message inside the message.
 */
const DOT = 46;
const CR = 13;
const LF = 10;

export class DotStuffer {
  #previous = LF;

  get atLineStart(): boolean {
    return this.#previous === LF;
  }

  stuff(octets: Uint8Array): Uint8Array {
    let extra = 0;
    let previous = this.#previous;
    for (const octet of octets) {
      if (octet === DOT && (previous === LF || previous === CR)) extra++;
      previous = octet;
    }
    if (extra === 0) {
      this.#previous = previous;
      return octets;
    }
    const out = new Uint8Array(octets.length + extra);
    let at = 0;
    previous = this.#previous;
    for (const octet of octets) {
      if (octet === DOT && (previous === LF || previous === CR)) out[at++] = DOT;
      out[at++] = octet;
      previous = octet;
    }
    this.#previous = previous;
    return out;
  }
}
