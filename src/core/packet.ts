/**
 * Packets on the data path: slots of one arena, so that the addon reads into and writes from them without a copy and the hot
 * path allocates nothing. A `PacketBuffer` has exactly one owner; whoever drops or has written it calls `pool.release()`.
 *
 *   slot:  | headroom (frame header, tunnel header, offload header) | IP datagram | tailroom (FCS) |
 *            slotOffset                                               start … start+length
 */
import { invariant } from './errors.ts';
import type { Instant } from './time.ts';

/** Room in front of a received packet: a 20-octet tunnel header, a 10-octet offload header and any frame header fit. */
export const HEADROOM_OCTETS = 64;
/** Room behind: an FCS-32 and slack for word-wise reads. */
export const TAILROOM_OCTETS = 16;

/** What the receiver made of a frame that the line did not carry intact. */
export interface FrameDamage {
  /** Why it is lost; `altered`: it passed the FCS with other octets; `spurious`: no such frame was sent. */
  readonly outcome: 'fcs' | 'abort' | 'runt' | 'giant' | 'unaligned' | 'los' | 'altered' | 'spurious';
  /** What the deframer saw, header to FCS, perhaps of several frames together; empty when nothing. */
  readonly octets: Uint8Array;
  /** Bit errors, counted in stuffed bits from the first bit of the frame. */
  readonly flippedBits: readonly number[];
}

/** A datagram that stands for many: TCP segments of this much payload each, behind one set of headers (see ip/segment-train). */
export interface SegmentTrain {
  /** IP and TCP headers together. */
  readonly headerOctets: number;
  /** Payload of every segment but the last, which may be shorter. */
  readonly segmentOctets: number;
}

export class PacketBuffer {
  /** The arena that every packet of the pool lies in. */
  readonly arena: Uint8Array;
  readonly slotOffset: number;
  /** Where the IP datagram begins in the arena. */
  start: number;
  length = 0;
  /** Increases by one per packet that entered; never reused. Captures and `omni why` name packets by it. */
  id = 0;
  /** When the packet entered the router that has it now. */
  enteredAt = 0 as Instant;
  /** When it was put into the output queue it is in or was last in. */
  queuedAt = 0 as Instant;
  /** When its frame's closing flag left the transmitter of the line it is on. */
  sentAt = 0 as Instant;
  /** When its frame's last bit reaches the far end of the line it is on. */
  arrivesAt = 0 as Instant;
  /** What the line did to its frame; undefined while nothing. */
  damage: FrameDamage | undefined = undefined;
  /** Set when the packet is a train of segments. */
  train: SegmentTrain | undefined = undefined;
  /** The class of service the router put it in. */
  trafficClass = 0;
  /** Interface it came in by, as the router numbers them; −1 when the node itself made it. */
  ingress = -1;
  /** For intrusive queues: the next packet behind this one. */
  next: PacketBuffer | undefined = undefined;
  inUse = false;

  constructor(arena: Uint8Array, slotOffset: number) {
    this.arena = arena;
    this.slotOffset = slotOffset;
    this.start = slotOffset + HEADROOM_OCTETS;
  }

  get end(): number {
    return this.start + this.length;
  }

  /** The longest IP packet that this becomes on a line. */
  get largestOctets(): number {
    const { train } = this;
    return train === undefined ? this.length : Math.min(this.length, train.headerOctets + train.segmentOctets);
  }

  /** How many packets this becomes on a line. */
  get packets(): number {
    const { train } = this;
    return train === undefined ? 1 : Math.max(1, Math.ceil((this.length - train.headerOctets) / train.segmentOctets));
  }

  /** A view of the datagram; for cold paths, it allocates. Valid only while the caller owns the packet. */
  view(): Uint8Array {
    return this.arena.subarray(this.start, this.start + this.length);
  }
}

export class PacketPool {
  readonly arena: Uint8Array;
  readonly slotOctets: number;
  readonly capacity: number;
  readonly #free: PacketBuffer[] = [];
  #made = 0;
  #nextId = 1;

  /**
   * @param options.slotOctets a slot's whole size: the largest datagram plus headroom and tailroom; rounded up to 64.
   * @param options.makeArena the octets that the slots lie in, zeroed; plain memory unless told
   */
  constructor(options: { capacity: number; slotOctets: number; makeArena?: (octets: number) => Uint8Array }) {
    this.slotOctets = (options.slotOctets + 63) & ~63;
    this.capacity = options.capacity;
    const octets = this.capacity * this.slotOctets;
    // Zeroed pages come from the kernel on first touch, so an idle pool costs address space only.
    this.arena = options.makeArena?.(octets) ?? new Uint8Array(octets);
  }

  /** The largest datagram that fits a slot. */
  get largestPacketOctets(): number {
    return this.slotOctets - HEADROOM_OCTETS - TAILROOM_OCTETS;
  }

  get available(): number {
    return this.#free.length + this.capacity - this.#made;
  }

  /** An empty packet with a new id, or undefined when all slots are in use: then stop reading, do not drop. */
  acquire(): PacketBuffer | undefined {
    // Last in, first out: the slot most likely still in the cache.
    let packet = this.#free.pop();
    if (packet === undefined) {
      if (this.#made === this.capacity) return undefined;
      packet = new PacketBuffer(this.arena, this.#made++ * this.slotOctets);
    }
    packet.start = packet.slotOffset + HEADROOM_OCTETS;
    packet.length = 0;
    packet.id = this.#nextId++;
    packet.trafficClass = 0;
    packet.ingress = -1;
    packet.next = undefined;
    packet.damage = undefined;
    packet.train = undefined;
    packet.inUse = true;
    return packet;
  }

  /** A packet with these octets, or undefined when the pool is empty or they do not fit. */
  copyOf(octets: Uint8Array): PacketBuffer | undefined {
    if (octets.length > this.largestPacketOctets) return undefined;
    const packet = this.acquire();
    if (packet === undefined) return undefined;
    this.arena.set(octets, packet.start);
    packet.length = octets.length;
    return packet;
  }

  release(packet: PacketBuffer): void {
    invariant(packet.inUse, 'a packet was released twice');
    packet.inUse = false;
    packet.next = undefined;
    this.#free.push(packet);
  }
}

/** Where a transmitter takes its next packet from: a router's output queues. */
export interface PacketSource {
  /**
   * The packet to send next of those queued at or before `now`, now owned by the caller; undefined when there is none. A
   * transmitter that is called late asks for the past instant at which it became free, so that lateness changes no order.
   */
  dequeue(now: Instant): PacketBuffer | undefined;
  /** When a packet that may be taken later becomes ready (hold, pacing); NEVER when an enqueue will tell. */
  nextReadyAt(now: Instant): Instant;
}
