/**
 * Cisco HDLC: address 0F (8F broadcast), control 00, EtherType. No RFC; the layout is the one that Linux (hdlc_cisco.c)
 * and Wireshark share. Like Linux this does not look at the control octet.
 *
 * Left out: SLARP, the keepalive and address protocol (8035), and CDP (2000) are recognised, counted and ignored; see
 * encapsulation.ts on keepalives. The peer must have its keepalives off as well (`no keepalive`), or it takes the line down.
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

export function ciscoHdlc(): Encapsulation {
  return {
    name: 'cisco-hdlc',
    headerOctets: 4,
    pcapLinkType: 104, // LINKTYPE_C_HDLC
    writeHeader(octets: Uint8Array, start: number, protocol: EncapsulatedProtocol): void {
      const etherType = protocol === 'ipv4' ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
      octets[start] = ADDRESS_UNICAST;
      octets[start + 1] = 0;
      octets[start + 2] = etherType >>> 8;
      octets[start + 3] = etherType & 0xff;
    },
    parse(octets: Uint8Array, start: number, end: number): number {
      if (end - start < 4) return PARSE_FAILURE.truncated;
      const address = octets[start];
      if (address !== ADDRESS_UNICAST && address !== ADDRESS_BROADCAST) return PARSE_FAILURE['bad-address'];
      switch ((octets[start + 2]! << 8) | octets[start + 3]!) {
        case ETHERTYPE_IPV4:
          return parsedFrame(start + 4, IP_VERSION_4);
        case ETHERTYPE_IPV6:
          return parsedFrame(start + 4, IP_VERSION_6);
        case SLARP:
          return PARSE_FAILURE.slarp;
        case CDP:
          return PARSE_FAILURE.cdp;
        default:
          return PARSE_FAILURE['unknown-protocol'];
      }
    },
  };
}

const ADDRESS_UNICAST = 0x0f;
const ADDRESS_BROADCAST = 0x8f;
const SLARP = 0x8035;
const CDP = 0x2000;
