/**
 * A recorder's capture as a table: each packet with its number in the file, the link, direction and tap it was recorded at, and
 * what its comment says. docs/trace-format.md defines names and comments; packets of other programs' captures are left out.
 */
import { type CapturedPacket, type CaptureInterface, LINK_TYPE } from '../io/pcapng.ts';
import { TAPS, type Tap } from '../io/recorded-link.ts';

export interface RecordedPacket {
  /** As Wireshark numbers it: 1 is the file's first. */
  readonly number: number;
  /** 0 when the recorder could not tell. */
  readonly packetId: number;
  readonly link: string;
  readonly direction: string;
  readonly tap: Tap;
  readonly linkType: number;
  /** What ends a frame; 0 for a raw packet. */
  readonly fcsOctets: number;
  /** Nanoseconds since 1970. */
  readonly at: bigint;
  readonly octets: Uint8Array;
  readonly originalOctets: number;
  /** The comment's `key=value` words. */
  readonly facts: ReadonlyMap<string, string>;
}

const INTERFACE_NAME = /^(.+)\.([^. ]+) ([a-z-]+)$/;

/** @param number the packet's place in the capture, from 1. */
export function recordedPacket(
  packet: CapturedPacket,
  from: CaptureInterface,
  number: number,
): RecordedPacket | undefined {
  const [, link, direction, tap] = INTERFACE_NAME.exec(from.name) ?? [];
  if (link === undefined || direction === undefined || !isTap(tap)) return undefined;
  return {
    number,
    packetId: Number(packet.packetId),
    link,
    direction,
    tap,
    linkType: from.linkType,
    fcsOctets: from.fcsOctets ?? 0,
    at: packet.at,
    octets: packet.octets,
    originalOctets: packet.originalOctets,
    facts: new Map(packet.comment.split(' ').flatMap((word) => keyAndValue(word))),
  };
}

/** Octets in front of the IP packet in a frame of this link type, when it carries IP in the common form; 0 for a raw packet. */
export function ipOffset(packet: RecordedPacket): number {
  if (packet.linkType === LINK_TYPE.frameRelay || packet.linkType === LINK_TYPE.ciscoHdlc) return 4;
  if (packet.linkType === LINK_TYPE.ppp) return packet.octets[0] === 0xff ? 4 : 2;
  return 0;
}

export const ipPacket = (packet: RecordedPacket): Uint8Array => packet.octets.subarray(ipOffset(packet));

const isTap = (name: string | undefined): name is Tap => (TAPS as readonly (string | undefined)[]).includes(name);

function keyAndValue(word: string): [string, string][] {
  const at = word.indexOf('=');
  return at <= 0 ? [] : [[word.slice(0, at), word.slice(at + 1)]];
}
