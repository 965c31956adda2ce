/**
 * What stands between the flag and the IP datagram: the header that names the station and the protocol. One file per
 * encapsulation: `frame-relay.ts` (default), `cisco-hdlc.ts`, `ppp.ts`.
 *
 * All three are one-way here: nothing is negotiated and no keepalive is sent (no LMI, SLARP or LCP echo). A space link may have
 * no return path, or one that answers half a minute later, and keepalives would take such a link down; whether it is up follows
 * from the carrier and the contact plan.
 *
 * `parse` runs for every frame received and allocates nothing, so its answer is one number.
 */

export type EncapsulatedProtocol = 'ipv4' | 'ipv6';

export interface Encapsulation {
  readonly name: 'frame-relay' | 'cisco-hdlc' | 'ppp';
  /** Octets of the header that `writeHeader` makes. A received header may be longer or shorter. */
  readonly headerOctets: number;
  /** LINKTYPE of pcap and pcapng captures of these frames, from the header on and without the FCS. */
  readonly pcapLinkType: number;
  /** Writes the header from octets[start] on. */
  writeHeader(octets: Uint8Array, start: number, protocol: EncapsulatedProtocol): void;
  /**
   * Reads the header of a received frame, octets[start, end) without its FCS.
   * @returns `parsedFrame(offset of the datagram in the array, IP version)` or a negative `PARSE_FAILURE`
   */
  parse(octets: Uint8Array, start: number, end: number): number;
}

export const IP_VERSION_4 = 4;
export const IP_VERSION_6 = 6;

/** What `parse` answers for a datagram that begins at octets[offset]: the offset above three bits of IP version. */
export function parsedFrame(offset: number, ipVersion: typeof IP_VERSION_4 | typeof IP_VERSION_6): number {
  return offset * 8 + ipVersion;
}

/** Where the datagram begins in the array that was parsed. */
export function payloadOffset(parsed: number): number {
  return parsed >>> 3;
}

/** Its IP version by the header: IP_VERSION_4 or IP_VERSION_6. */
export function payloadIpVersion(parsed: number): number {
  return parsed & 7;
}

/** Why a frame with a good FCS carries no datagram for us. Drop counters are named after these. */
export type ParseFailure =
  | 'truncated'
  | 'bad-address'
  | 'other-dlci'
  | 'lmi'
  | 'not-ui'
  | 'unknown-protocol'
  | 'slarp'
  | 'cdp'
  | 'control';

export const PARSE_FAILURE: Readonly<Record<ParseFailure, number>> = {
  truncated: -1,
  'bad-address': -2,
  'other-dlci': -3,
  lmi: -4,
  'not-ui': -5,
  'unknown-protocol': -6,
  slarp: -7,
  cdp: -8,
  control: -9,
};

const FAILURES = Object.keys(PARSE_FAILURE) as ParseFailure[];

/** The reason's name for a negative answer of `parse`. Throws RangeError for any other number. */
export function describeParseFailure(code: number): ParseFailure {
  const reason = FAILURES[-1 - code];
  if (reason === undefined) throw new RangeError(`${code} is no parse failure`);
  return reason;
}

/** EtherTypes (IEEE 802 numbers), used by Cisco HDLC and by SNAP. */
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
