/**
 * Octet text: a string in which every character is one octet (0 … 255).
 *
 * The control connection and all pathnames are kept in this form, because RFC 3659 section 7.3 wants 8-bit clean names: a
 * name that is not UTF-8 survives, a UTF-8 character that is split between two segments needs no care, and no decoding can
 * fail. `fromUnicode` makes it (as UTF-8, RFC 2640) from text of ours; `toUnicode` is for logs and people only.
 */

/** Throws RangeError on a character above 255: Unicode text of ours that did not pass `fromUnicode`. */
export function toOctets(text: string): Uint8Array {
  const octets = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw new RangeError('not octet text');
    octets[i] = code;
  }
  return octets;
}

export function fromOctets(octets: Uint8Array): string {
  let text = '';
  for (let at = 0; at < octets.length; at += 4096)
    text += String.fromCharCode(...octets.subarray(at, Math.min(at + 4096, octets.length)));
  return text;
}

export const fromUnicode = (text: string): string => fromOctets(new TextEncoder().encode(text));
export const toUnicode = (text: string): string => new TextDecoder('utf-8').decode(toOctets(text));

/** For one line of a reply or a log: control characters become `?`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const printable = (text: string): string => text.replace(/[\x00-\x1f\x7f]/g, '?');

/** Upper case of the ASCII letters only: `toUpperCase` would turn the octet 0xB5 (µ) into a character that is no octet. */
export const upperCase = (text: string): string => text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
