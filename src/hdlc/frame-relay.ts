/**
 * IP over Frame Relay: RFC 2427 over a two-octet Q.922 address, the encapsulation that OMNI flew.
 *
 *    0   1   2   3   4   5   6   7          (bit 7 is sent first; drawn most significant bit first)
 *   +---+---+---+---+---+---+---+---+
 *   |   DLCI, high six bits | C/R| 0 |      EA = 0: another address octet follows
 *   +---+---+---+---+---+---+---+---+
 *   | DLCI, low four|FECN|BECN|DE| 1 |      EA = 1: the last one
 *   +---+---+---+---+---+---+---+---+
 *   |       control: UI, 03         |
 *   |       NLPID: CC IPv4, 8E IPv6 |      or pad 00, NLPID 80, OUI 000000, EtherType (SNAP, section 4.1)
 *
 * Sent: the NLPID form, four octets, with C/R, FECN, BECN and DE zero. Received: both forms (section 7), those bits ignored.
 * Left out: three- and four-octet addresses, bridged frames, XID (section 5), Inverse ARP (RFC 2390), fragmentation (FRF.12).
 * Frames of the local management interface (DLCI 0 and 1023) are recognised and ignored: see encapsulation.ts on keepalives.
 */
import {
  type EncapsulatedProtocol,
  type Encapsulation,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IP_VERSION_4,
  IP_VERSION_6,
  PARSE_FAILURE,
  parsedFrame,
} from './encapsulation.ts';

export const DEFAULT_DLCI = 100;
/** DLCIs a station may use with two-octet addresses: 0–15 and 1008–1023 are for management. */
export const LOWEST_DLCI = 16;
export const HIGHEST_DLCI = 1007;

/** A link carries one virtual circuit; frames of another DLCI are not ours. @throws RangeError for a DLCI outside 16 … 1007 */
export function frameRelay(options: { readonly dlci?: number } = {}): Encapsulation {
  const dlci = options.dlci ?? DEFAULT_DLCI;
  if (!(Number.isInteger(dlci) && dlci >= LOWEST_DLCI && dlci <= HIGHEST_DLCI)) {
    throw new RangeError(`DLCI ${dlci} is not in ${LOWEST_DLCI} to ${HIGHEST_DLCI}`);
  }
  return {
    name: 'frame-relay',
    headerOctets: 4,
    pcapLinkType: 107, // LINKTYPE_FRELAY
    writeHeader(octets: Uint8Array, start: number, protocol: EncapsulatedProtocol): void {
      octets[start] = (dlci >>> 4) << 2;
      octets[start + 1] = ((dlci & 15) << 4) | EXTENDED_ADDRESS;
      octets[start + 2] = UI;
      octets[start + 3] = protocol === 'ipv4' ? NLPID_IPV4 : NLPID_IPV6;
    },
    parse(octets: Uint8Array, start: number, end: number): number {
      if (end - start < 4) return PARSE_FAILURE.truncated;
      const high = octets[start]!;
      const low = octets[start + 1]!;
      if ((high & EXTENDED_ADDRESS) !== 0 || (low & EXTENDED_ADDRESS) === 0) return PARSE_FAILURE['bad-address'];
      const received = ((high >>> 2) << 4) | (low >>> 4);
      if (received === LMI_ANSI || received === LMI_CISCO) return PARSE_FAILURE.lmi;
      if (received !== dlci) return PARSE_FAILURE['other-dlci'];
      if (octets[start + 2] !== UI) return PARSE_FAILURE['not-ui'];
      switch (octets[start + 3]) {
        case NLPID_IPV4:
          return parsedFrame(start + 4, IP_VERSION_4);
        case NLPID_IPV6:
          return parsedFrame(start + 4, IP_VERSION_6);
        case PAD:
          return parseSnap(octets, start + 4, end);
        default:
          return PARSE_FAILURE['unknown-protocol'];
      }
    },
  };
}

/** After the pad: NLPID 80, OUI, protocol identifier. */
function parseSnap(octets: Uint8Array, start: number, end: number): number {
  if (end - start < 6) return PARSE_FAILURE.truncated;
  const organization = (octets[start + 1]! << 16) | (octets[start + 2]! << 8) | octets[start + 3]!;
  if (octets[start] !== NLPID_SNAP || organization !== OUI_ETHERTYPE) return PARSE_FAILURE['unknown-protocol'];
  switch ((octets[start + 4]! << 8) | octets[start + 5]!) {
    case ETHERTYPE_IPV4:
      return parsedFrame(start + 6, IP_VERSION_4);
    case ETHERTYPE_IPV6:
      return parsedFrame(start + 6, IP_VERSION_6);
    default:
      return PARSE_FAILURE['unknown-protocol'];
  }
}

const EXTENDED_ADDRESS = 0x01;
const UI = 0x03;
const PAD = 0x00;
const NLPID_SNAP = 0x80;
const NLPID_IPV6 = 0x8e;
const NLPID_IPV4 = 0xcc;
const OUI_ETHERTYPE = 0x000000;
const LMI_ANSI = 0;
const LMI_CISCO = 1023;
