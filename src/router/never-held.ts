/**
 * Packets that must not wait for a contact, whatever class they are in: an NTP packet's time stamps and a Mobile IP registration's
 * identification and lifetime are of the moment. One that arrives minutes later does harm (a clock stepped, a refusal 133).
 */
import type { PacketBuffer } from '../core/packet.ts';
import {
  destinationPort,
  type Ipv6UpperLayer,
  ipVersion,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Protocol,
  ipv6UpperLayer,
  PORT,
  PROTOCOL,
  sourcePort,
} from '../ip/index.ts';

const upper: Ipv6UpperLayer = { protocol: 0, at: 0, laterFragment: false };

export function neverHeld({ arena, start, length }: PacketBuffer): boolean {
  let at: number;
  if (ipVersion(arena, start) === 4) {
    if (ipv4Protocol(arena, start) !== PROTOCOL.udp || ipv4FragmentOffset(arena, start) !== 0) return false;
    at = start + ipv4HeaderOctets(arena, start);
  } else {
    ipv6UpperLayer(arena, start, length, upper);
    if (upper.protocol !== PROTOCOL.udp || upper.laterFragment || upper.at < 0) return false;
    at = upper.at;
  }
  if (at + 4 > start + length) return false;
  return isOfTheMoment(sourcePort(arena, at)) || isOfTheMoment(destinationPort(arena, at));
}

const isOfTheMoment = (port: number): boolean => port === PORT.ntp || port === PORT.mobileIp;
