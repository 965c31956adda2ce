/**
 * IPv4 reassembly of datagrams that are for this router itself (RFC 791 section 3.2, RFC 1122 section 3.3.2).
 *
 * Fragments that overlap spoil their datagram, as RFC 5722 demands for IPv6 and hosts do for IPv4 since the overlap attacks;
 * an exact copy of a fragment is ignored. Memory is bounded in datagrams and fragments: at the bound the oldest goes.
 * A datagram that would not fit a packet slot is given up.
 */
import type { PacketBuffer, PacketPool } from '../core/packet.ts';
import { type Duration, type Instant, NEVER, plus, seconds } from '../core/time.ts';
import {
  ipv4FillChecksum,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4MoreFragments,
  ipv4Protocol,
  putUint16,
} from '../ip/index.ts';
import type { DropReason } from './drop.ts';

// RFC 1122 section 3.3.2: between 60 and 120 seconds.
export const REASSEMBLY_TIMEOUT: Duration = seconds(60);

export interface ReassemblyLimits {
  readonly datagrams: number;
  readonly fragments: number;
}

interface Piece {
  readonly packet: PacketBuffer;
  readonly offset: number;
  readonly end: number;
}

interface PartialDatagram {
  readonly key: string;
  readonly expiresAt: Instant;
  /** By offset, without overlaps. */
  pieces: Piece[];
  /** The payload's length, once the last fragment has come. */
  total: number | undefined;
}

export interface ReassemblyObserver {
  drop(packet: PacketBuffer, reason: DropReason, now: Instant): void;
  /** Time ran out and the first fragment is here: a time exceeded message may be sent about it. Called before its drop. */
  timedOut(first: PacketBuffer, now: Instant): void;
}

export class Reassembler {
  readonly #pool: PacketPool;
  readonly #limits: ReassemblyLimits;
  readonly #observer: ReassemblyObserver;
  /** In order of arrival of their first piece, hence also of expiry. */
  readonly #datagrams = new Map<string, PartialDatagram>();
  #fragments = 0;

  constructor(
    pool: PacketPool,
    observer: ReassemblyObserver,
    limits: ReassemblyLimits = { datagrams: 16, fragments: 64 },
  ) {
    this.#pool = pool;
    this.#observer = observer;
    this.#limits = limits;
  }

  /** Fragments that are kept. */
  get fragments(): number {
    return this.#fragments;
  }

  /**
   * Takes a fragment whose header was checked. When its datagram is complete, returns it in a new packet together with its
   * fragments, all the caller's; otherwise keeps or drops the fragment and returns undefined.
   */
  add(
    packet: PacketBuffer,
    now: Instant,
  ): { readonly datagram: PacketBuffer; readonly fragments: PacketBuffer[] } | undefined {
    const { arena, start } = packet;
    const header = ipv4HeaderOctets(arena, start);
    const offset = ipv4FragmentOffset(arena, start);
    const end = offset + packet.length - header;
    const last = !ipv4MoreFragments(arena, start);
    // A piece in the middle is a multiple of 8; the whole must fit a datagram (the ping of death did not).
    if (end === offset || (!last && (end & 7) !== 0) || end + header > 0xffff) {
      this.#observer.drop(packet, 'fragment', now);
      return undefined;
    }
    if (end + header > this.#pool.largestPacketOctets) {
      this.#observer.drop(packet, 'fragment-limit', now);
      return undefined;
    }
    const key = `${arena.subarray(start + 12, start + 20).join('.')}/${ipv4Protocol(arena, start)}/${ipv4Identification(arena, start)}`;
    let datagram = this.#datagrams.get(key);
    if (datagram === undefined) {
      this.#makeRoom(now);
      datagram = { key, expiresAt: plus(now, REASSEMBLY_TIMEOUT), pieces: [], total: undefined };
      this.#datagrams.set(key, datagram);
    }
    if (datagram.pieces.some((piece) => piece.offset === offset && piece.end === end)) {
      this.#observer.drop(packet, 'fragment', now);
      return undefined;
    }
    const total = last ? end : datagram.total;
    const contradicts =
      (last && datagram.total !== undefined) ||
      (total !== undefined && (end > total || datagram.pieces.some((piece) => piece.end > total))) ||
      datagram.pieces.some((piece) => offset < piece.end && piece.offset < end);
    if (contradicts) {
      this.#observer.drop(packet, 'fragment-overlap', now);
      this.#giveUp(datagram, 'fragment-overlap', now);
      return undefined;
    }
    datagram.total = total;
    datagram.pieces.push({ packet, offset, end });
    datagram.pieces.sort((a, b) => a.offset - b.offset);
    this.#fragments++;
    if (total === undefined || datagram.pieces.reduce((sum, piece) => sum + piece.end - piece.offset, 0) < total) {
      while (this.#fragments > this.#limits.fragments) this.#giveUpOldest(now);
      return undefined;
    }
    return this.#assemble(datagram, total, now);
  }

  handleTimeout(now: Instant): void {
    for (const datagram of this.#datagrams.values()) {
      if (datagram.expiresAt > now) return;
      const first = datagram.pieces[0];
      if (first !== undefined && first.offset === 0) this.#observer.timedOut(first.packet, now);
      this.#giveUp(datagram, 'fragment-timeout', now);
    }
  }

  nextExpiryAt(): Instant {
    for (const datagram of this.#datagrams.values()) return datagram.expiresAt;
    return NEVER;
  }

  #assemble(
    datagram: PartialDatagram,
    total: number,
    now: Instant,
  ): { datagram: PacketBuffer; fragments: PacketBuffer[] } | undefined {
    const whole = this.#pool.acquire();
    const first = datagram.pieces[0]!.packet;
    const { arena } = first;
    const header = ipv4HeaderOctets(arena, first.start);
    if (whole === undefined || header + total > this.#pool.largestPacketOctets) {
      if (whole !== undefined) this.#pool.release(whole);
      this.#giveUp(datagram, whole === undefined ? 'no-buffer' : 'fragment-limit', now);
      return undefined;
    }
    arena.copyWithin(whole.start, first.start, first.start + header);
    for (const { packet, offset, end } of datagram.pieces) {
      const from = packet.start + ipv4HeaderOctets(arena, packet.start);
      arena.copyWithin(whole.start + header + offset, from, from + end - offset);
    }
    whole.length = header + total;
    whole.ingress = first.ingress;
    whole.enteredAt = now;
    putUint16(arena, whole.start + 2, whole.length);
    putUint16(arena, whole.start + 6, 0);
    ipv4FillChecksum(arena, whole.start);
    this.#forget(datagram);
    return { datagram: whole, fragments: datagram.pieces.map((piece) => piece.packet) };
  }

  #makeRoom(now: Instant): void {
    while (this.#datagrams.size >= this.#limits.datagrams) this.#giveUpOldest(now);
  }

  #giveUpOldest(now: Instant): void {
    for (const oldest of this.#datagrams.values()) {
      this.#giveUp(oldest, 'fragment-limit', now);
      return;
    }
  }

  #giveUp(datagram: PartialDatagram, reason: DropReason, now: Instant): void {
    this.#forget(datagram);
    for (const { packet } of datagram.pieces) this.#observer.drop(packet, reason, now);
    datagram.pieces = [];
  }

  #forget(datagram: PartialDatagram): void {
    this.#datagrams.delete(datagram.key);
    this.#fragments -= datagram.pieces.length;
  }
}
