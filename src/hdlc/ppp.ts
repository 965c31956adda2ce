/**
 * PPP in HDLC-like framing: FF 03 and a two-octet protocol number (RFC 1662 section 3.1, RFC 1661 section 2).
 *
 * Nothing is negotiated yet: no LCP, IPCP or IPV6CP, so a stock PPP peer, which insists on LCP, will not come up. It serves
 * links whose two ends are set up alike. Control frames of a peer are recognised, counted and ignored.
 * Sent: the full form. Received: also with Address-and-Control-Field-Compression and Protocol-Field-Compression, because
 * both are unmistakable (RFC 1662 section 3.2, RFC 1661 sections 6.5 and 6.6).
 */
import {
  type EncapsulatedProtocol,
  type Encapsulation,
  IP_VERSION_4,
  IP_VERSION_6,
  PARSE_FAILURE,
  parsedFrame,
} from './encapsulation.ts';

export function ppp(): Encapsulation {
  return {
    name: 'ppp',
    headerOctets: 4,
    // LINKTYPE_PPP, with or without FF 03 in front; LINKTYPE_PPP_HDLC (50) would not do for compressed headers received.
    pcapLinkType: 9,
    writeHeader(octets: Uint8Array, start: number, protocol: EncapsulatedProtocol): void {
      octets[start] = ALL_STATIONS;
      octets[start + 1] = UI;
      octets[start + 2] = 0;
      octets[start + 3] = protocol === 'ipv4' ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
    },
    parse(octets: Uint8Array, start: number, end: number): number {
      let at = start;
      // No protocol number begins with FF: it is even.
      if (at < end && octets[at] === ALL_STATIONS) {
        if (at + 1 >= end) return PARSE_FAILURE.truncated;
        if (octets[at + 1] !== UI) return PARSE_FAILURE['not-ui'];
        at += 2;
      }
      if (at >= end) return PARSE_FAILURE.truncated;
      let protocol = octets[at++]!;
      // The last octet of a protocol number is odd, the one before it even.
      if ((protocol & 1) === 0) {
        if (at >= end) return PARSE_FAILURE.truncated;
        protocol = (protocol << 8) | octets[at++]!;
      }
      if (protocol === PROTOCOL_IPV4) return parsedFrame(at, IP_VERSION_4);
      if (protocol === PROTOCOL_IPV6) return parsedFrame(at, IP_VERSION_6);
      return protocol >= FIRST_CONTROL_PROTOCOL ? PARSE_FAILURE.control : PARSE_FAILURE['unknown-protocol'];
    },
  };
}

const ALL_STATIONS = 0xff;
const UI = 0x03;
const PROTOCOL_IPV4 = 0x0021;
const PROTOCOL_IPV6 = 0x0057;
/** 8000–BFFF are network control protocols, C000–FFFF link-layer control protocols (RFC 1661 section 2). */
const FIRST_CONTROL_PROTOCOL = 0x8000;
