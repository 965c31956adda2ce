/**
 * Challenges of a foreign agent: RFC 4721. A request must repeat one of the last few that were advertised, and no mobile node may
 * use one twice. The text of RFC 4721 was not at hand: types and codes are IANA's, the window is its CHALLENGE_WINDOW of 2.
 */
import { toHex } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { REPLY_CODE } from './numbers.ts';

const CHALLENGE_OCTETS = 4;
const CHALLENGE_WINDOW = 2;
/** How many older ones are still told apart from unknown ones. */
const REMEMBERED = 32;

export class Challenges {
  readonly #random: () => number;
  readonly #issued: string[] = [];
  readonly #usedBy = new Map<string, Set<Ipv4Address>>();

  constructor(random: () => number) {
    this.#random = random;
  }

  issue(): Uint8Array {
    const challenge = new Uint8Array(CHALLENGE_OCTETS);
    new DataView(challenge.buffer).setUint32(0, this.#random());
    const name = toHex(challenge);
    this.#issued.push(name);
    this.#usedBy.set(name, new Set());
    if (this.#issued.length > REMEMBERED) this.#usedBy.delete(this.#issued.shift()!);
    return challenge;
  }

  /** The denial's code, or undefined when the challenge is good; then it is used up for this mobile node. */
  check(challenge: Uint8Array | undefined, homeAddress: Ipv4Address): number | undefined {
    if (challenge === undefined) return REPLY_CODE.missingChallenge;
    const name = toHex(challenge);
    const users = this.#usedBy.get(name);
    if (users === undefined) return REPLY_CODE.unknownChallenge;
    if (users.has(homeAddress) || !this.#issued.slice(-CHALLENGE_WINDOW).includes(name))
      return REPLY_CODE.staleChallenge;
    users.add(homeAddress);
    return undefined;
  }
}
