/**
 * Gratuitous ARP: an Ethernet broadcast that makes every host on the LAN move an address to another station. RFC 826, RFC 5944 section
 * 4.6 (an ARP Request with sender and target address alike). Nothing here parses ARP: the kernel does.
 *
 *    | ff:ff:ff:ff:ff:ff | sender | 0x0806 | 1 | 0x0800 | 6 | 4 | 1 | sender | address | 0 | address |
 */
import { Writer } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';

// Specification constants
export const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;
const HARDWARE_ETHERNET = 1;
const OPERATION_REQUEST = 1;

/** A whole Ethernet frame. @param hardwareAddress six octets: where the address is to be found from now on */
export function emitGratuitousArp(address: Ipv4Address, hardwareAddress: Uint8Array): Uint8Array {
  return new Writer(42)
    .octets(new Uint8Array(6).fill(0xff))
    .octets(hardwareAddress)
    .uint16(ETHERTYPE_ARP)
    .uint16(HARDWARE_ETHERNET)
    .uint16(ETHERTYPE_IPV4)
    .uint8(6)
    .uint8(4)
    .uint16(OPERATION_REQUEST)
    .octets(hardwareAddress)
    .uint32(address)
    .octets(new Uint8Array(6))
    .uint32(address)
    .finish();
}
