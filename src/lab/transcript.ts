/**
 * All that happens on the links as lines of text, and their SHA-256: two runs are the same bit for bit when it is. One line an event,
 * fields apart by a blank; times in nanoseconds, bit positions counted in the direction's bit stream:
 *
 *   in LINK.DIRECTION PACKET TIME                                        a packet was offered to the transmitter's queue
 *   sent LINK.DIRECTION PACKET FIRST-BIT END-BIT STARTS ENDS FRAME        FRAME: header to FCS, in hexadecimal
 *   received LINK.DIRECTION PACKET OUTCOME TIME FLIPPED-BITS FRAME        PACKET is 0 when no one sent frame can be named
 *   out LINK.DIRECTION PACKET TIME
 *   dropped LINK.DIRECTION PACKET REASON TIME                             LINK.DIRECTION is - when no link had been chosen
 */
import { createHash } from 'node:crypto';
import type { FrameOutcome, Instant, LinkDirection, LinkTap, PacketBuffer } from '../core/index.ts';

export class Transcript implements LinkTap {
  readonly #links: readonly string[];
  readonly #write: ((line: string) => void) | undefined;
  readonly #hash = createHash('sha256');
  /** Packets that are in a queue or on a line. */
  readonly #underWay = new Set<number>();
  lines = 0;

  /** @param write gets every line too, its newline included */
  constructor(links: readonly string[], write?: (line: string) => void) {
    this.#links = links;
    this.#write = write;
  }

  get packetsUnderWay(): number {
    return this.#underWay.size;
  }

  /** Of all lines so far; ends the transcript. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  packetIn(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#underWay.add(packet.id);
    this.#line(`in ${this.#name(link, direction)} ${packet.id} ${now}`);
  }

  frameSent(
    link: number,
    direction: LinkDirection,
    octets: Uint8Array,
    start: number,
    end: number,
    packetId: number,
    firstBit: number,
    endBit: number,
    startsAt: Instant,
    endsAt: Instant,
  ): void {
    const frame = hex(octets, start, end);
    this.#line(`sent ${this.#name(link, direction)} ${packetId} ${firstBit} ${endBit} ${startsAt} ${endsAt} ${frame}`);
  }

  frameReceived(
    link: number,
    direction: LinkDirection,
    octets: Uint8Array,
    start: number,
    end: number,
    packetId: number,
    outcome: FrameOutcome,
    flippedBits: readonly number[],
    at: Instant,
  ): void {
    const flips = flippedBits.length === 0 ? '-' : flippedBits.join(',');
    const frame = hex(octets, start, end);
    this.#line(`received ${this.#name(link, direction)} ${packetId} ${outcome} ${at} ${flips} ${frame}`);
  }

  packetOut(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#underWay.delete(packet.id);
    this.#line(`out ${this.#name(link, direction)} ${packet.id} ${now}`);
  }

  packetDropped(link: number, direction: LinkDirection, packet: PacketBuffer, reason: string, now: Instant): void {
    this.#underWay.delete(packet.id);
    this.#line(`dropped ${this.#name(link, direction)} ${packet.id} ${reason} ${now}`);
  }

  #name(link: number, direction: LinkDirection): string {
    return link < 0 ? '-' : `${this.#links[link]}.${direction === 0 ? 'up' : 'down'}`;
  }

  #line(text: string): void {
    const line = `${text}\n`;
    this.lines++;
    this.#hash.update(line);
    this.#write?.(line);
  }
}

function hex(octets: Uint8Array, start: number, end: number): string {
  return end > start ? Buffer.from(octets.buffer, octets.byteOffset + start, end - start).toString('hex') : '-';
}
