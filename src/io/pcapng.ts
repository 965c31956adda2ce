/**
 * pcapng blocks (draft-ietf-opsawg-pcapng, sections 4.1 to 4.6): written little-endian, read in either byte order.
 *
 * Written: Section Header, Interface Description (name, speed, nanosecond resolution), Enhanced Packet (comment, flags, packet
 * id, drop count), Interface Statistics. Read: the same and, skipped, any other block. Left out: Simple Packet blocks, name
 * resolution, decryption secrets. Timestamps are bigint nanoseconds since 1970, because a double has not the bits.
 */
import type { WallTime } from '../core/index.ts';

/** LINKTYPE values, as registered at tcpdump.org. */
export const LINK_TYPE = { ppp: 50, raw: 101, ciscoHdlc: 104, frameRelay: 107 } as const;

/** Bits of epb_flags (draft section 4.3.1). */
export const PACKET_FLAG = {
  inbound: 1,
  outbound: 2,
  crcError: 1 << 24,
  tooLong: 1 << 25,
  tooShort: 1 << 26,
  unaligned: 1 << 28,
  symbolError: 2 ** 31,
} as const;

export interface CaptureInterface {
  readonly name: string;
  readonly description?: string;
  readonly linkType: number;
  readonly bitPerSecond?: number;
  readonly snapOctets?: number;
  /** Length of the frame check sequence that ends each frame; 0 or left out: none. */
  readonly fcsOctets?: number;
}

export interface CapturedPacket {
  /** Index of the interface in the order of its description blocks. */
  readonly interfaceId: number;
  readonly at: WallTime;
  readonly octets: Uint8Array;
  /** Before a snap length cut it. */
  readonly originalOctets: number;
  readonly comment: string;
  readonly flags: number;
  /** epb_packetid: the same packet at other taps has the same; 0n when there is none. */
  readonly packetId: bigint;
}

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const INTERFACE_STATISTICS = 5;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION = {
  end: 0,
  comment: 1,
  sectionApplication: 4,
  sectionSystem: 3,
  interfaceName: 2,
  interfaceDescription: 3,
  interfaceSpeed: 8,
  interfaceResolution: 9,
  interfaceFcsLength: 13,
  packetFlags: 2,
  packetDropCount: 4,
  packetId: 5,
  statisticsReceived: 4,
  statisticsDropped: 5,
} as const;
const NANOSECOND_RESOLUTION = 9;

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();

/** Blocks one after the other in one buffer that grows to what is taken at a time and is then reused. */
class BlockWriter {
  #octets = new Uint8Array(1 << 15);
  #view = new DataView(this.#octets.buffer);
  #at = 0;
  #begin = 0;

  get length(): number {
    return this.#at;
  }

  begin(type: number): void {
    this.#begin = this.#at;
    this.uint32(type);
    this.uint32(0); // the length, patched by finish()
  }
  #room(octets: number): void {
    if (this.#at + octets <= this.#octets.length) return;
    const bigger = new Uint8Array(Math.max(this.#octets.length * 2, this.#at + octets));
    bigger.set(this.#octets);
    this.#octets = bigger;
    this.#view = new DataView(bigger.buffer);
  }
  uint16(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }
  uint32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }
  uint64(value: bigint): void {
    this.#room(8);
    this.#view.setBigUint64(this.#at, value, true);
    this.#at += 8;
  }
  padded(octets: Uint8Array): void {
    this.#room(octets.length + 3);
    this.#octets.set(octets, this.#at);
    this.#pad(octets.length);
  }
  #pad(octets: number): void {
    this.#at += octets;
    while (this.#at % 4 !== 0) this.#octets[this.#at++] = 0;
  }
  option(code: number, octets: Uint8Array): void {
    this.uint16(code);
    this.uint16(octets.length);
    this.padded(octets);
  }
  text(code: number, text: string | undefined): void {
    if (text === undefined || text === '') return;
    this.uint16(code);
    const lengthAt = this.#at;
    this.uint16(0);
    this.#room(text.length * 3 + 3);
    const room = this.#octets.subarray(this.#at, this.#at + Math.min(text.length * 3, 0xffff));
    const { written } = utf8.encodeInto(text, room);
    this.#view.setUint16(lengthAt, written, true);
    this.#pad(written);
  }
  option64(code: number, value: bigint): void {
    this.uint16(code);
    this.uint16(8);
    this.uint64(value);
  }
  finish(): void {
    this.uint32(OPTION.end);
    const length = this.#at + 4 - this.#begin;
    this.uint32(length);
    this.#view.setUint32(this.#begin + 4, length, true);
  }
  take(): Uint8Array {
    const taken = this.#octets.slice(0, this.#at);
    this.#at = 0;
    return taken;
  }
}

/** Makes blocks, in the order of the calls; `take()` gives all that were made since it was last called. */
export class PcapngEncoder {
  readonly #block = new BlockWriter();

  /** Octets that `take()` would give. */
  get length(): number {
    return this.#block.length;
  }

  take(): Uint8Array {
    return this.#block.take();
  }

  sectionHeader(application: string, comment = ''): void {
    const block = this.#block;
    block.begin(SECTION_HEADER);
    block.uint32(BYTE_ORDER_MAGIC);
    block.uint16(1);
    block.uint16(0);
    block.uint64(0xffff_ffff_ffff_ffffn); // length of the section: not known
    block.text(OPTION.comment, comment);
    block.text(OPTION.sectionApplication, application);
    block.finish();
  }

  interfaceDescription(description: CaptureInterface): void {
    const block = this.#block;
    block.begin(INTERFACE_DESCRIPTION);
    block.uint16(description.linkType);
    block.uint16(0);
    block.uint32(description.snapOctets ?? 0);
    block.text(OPTION.interfaceName, description.name);
    block.text(OPTION.interfaceDescription, description.description);
    if (description.bitPerSecond !== undefined)
      block.option64(OPTION.interfaceSpeed, BigInt(Math.round(description.bitPerSecond)));
    block.option(OPTION.interfaceResolution, Uint8Array.of(NANOSECOND_RESOLUTION));
    if (description.fcsOctets !== undefined)
      block.option(OPTION.interfaceFcsLength, Uint8Array.of(description.fcsOctets * 8));
    block.finish();
  }

  /** @param dropCount packets lost to this capture since the one before it. */
  packet(packet: CapturedPacket, dropCount = 0): void {
    const block = this.#block;
    block.begin(ENHANCED_PACKET);
    block.uint32(packet.interfaceId);
    block.uint32(Number(packet.at >> 32n));
    block.uint32(Number(packet.at & 0xffff_ffffn));
    block.uint32(packet.octets.length);
    block.uint32(packet.originalOctets);
    block.padded(packet.octets);
    block.text(OPTION.comment, packet.comment);
    if (packet.flags !== 0) {
      block.uint16(OPTION.packetFlags);
      block.uint16(4);
      block.uint32(packet.flags);
    }
    if (dropCount > 0) block.option64(OPTION.packetDropCount, BigInt(dropCount));
    if (packet.packetId !== 0n) block.option64(OPTION.packetId, packet.packetId);
    block.finish();
  }

  interfaceStatistics(interfaceId: number, at: WallTime, received: number, dropped: number): void {
    const block = this.#block;
    block.begin(INTERFACE_STATISTICS);
    block.uint32(interfaceId);
    block.uint32(Number(at >> 32n));
    block.uint32(Number(at & 0xffff_ffffn));
    block.option64(OPTION.statisticsReceived, BigInt(received));
    block.option64(OPTION.statisticsDropped, BigInt(dropped));
    block.finish();
  }
}

/** What a block with its trailing length at least occupies, and what we are willing to hold of one. */
const SMALLEST_BLOCK_OCTETS = 12;
const LARGEST_BLOCK_OCTETS = 1 << 24;

export type PcapngProblem = 'not-pcapng' | 'bad-block' | 'bad-interface' | 'truncated';

/**
 * Reads a capture in pieces of any size. Malformed input ends it: `problem` says how, what was read before stays good.
 * `end()` says whether the input stopped inside a block, as a capture does whose writer was killed.
 */
export class PcapngDecoder {
  readonly interfaces: CaptureInterface[] = [];
  problem: PcapngProblem | undefined;
  /** Text of the section header: who wrote this. */
  application = '';
  comment = '';
  #pending = new Uint8Array(0);
  #littleEndian = true;
  #inSection = false;
  /** Power of the timestamps, per interface: how many nanoseconds one unit is, as a fraction. */
  readonly #units: { numerator: bigint; denominator: bigint }[] = [];

  *push(octets: Uint8Array): Generator<CapturedPacket, void, void> {
    if (this.problem !== undefined) return;
    // A Buffer's slice() would share its memory; a plain view's copies.
    let data = new Uint8Array(octets.buffer, octets.byteOffset, octets.length);
    if (this.#pending.length > 0) {
      data = new Uint8Array(this.#pending.length + octets.length);
      data.set(this.#pending);
      data.set(octets, this.#pending.length);
    }
    let at = 0;
    while (this.problem === undefined && data.length - at >= SMALLEST_BLOCK_OCTETS) {
      const view = new DataView(data.buffer, data.byteOffset + at, data.length - at);
      const isSection = view.getUint32(0, true) === SECTION_HEADER;
      if (isSection) this.#littleEndian = view.getUint32(8, true) === BYTE_ORDER_MAGIC;
      if (isSection ? view.getUint32(8, this.#littleEndian) !== BYTE_ORDER_MAGIC : !this.#inSection) {
        this.problem = 'not-pcapng';
        return;
      }
      const type = view.getUint32(0, this.#littleEndian);
      const length = view.getUint32(4, this.#littleEndian);
      if (length < SMALLEST_BLOCK_OCTETS || length % 4 !== 0 || length > LARGEST_BLOCK_OCTETS) {
        this.problem = 'bad-block';
        return;
      }
      if (data.length - at < length) break;
      if (view.getUint32(length - 4, this.#littleEndian) !== length) {
        this.problem = 'bad-block';
        return;
      }
      const packet = this.#block(type, data.subarray(at + 8, at + length - 4));
      if (packet !== undefined) yield packet;
      at += length;
    }
    this.#pending = data.slice(at);
  }

  end(): void {
    if (this.problem === undefined && (this.#pending.length > 0 || !this.#inSection)) this.problem = 'truncated';
  }

  #block(type: number, body: Uint8Array): CapturedPacket | undefined {
    if (type === SECTION_HEADER) return this.#section(body);
    if (type === INTERFACE_DESCRIPTION) return this.#interface(body);
    if (type === ENHANCED_PACKET) return this.#packet(body);
    return undefined;
  }

  #section(body: Uint8Array): undefined {
    this.#inSection = true;
    this.interfaces.length = 0;
    this.#units.length = 0;
    for (const [code, value] of this.#options(body, 16)) {
      if (code === OPTION.sectionApplication) this.application = utf8Decoder.decode(value);
      if (code === OPTION.comment) this.comment = utf8Decoder.decode(value);
    }
    return undefined;
  }

  #interface(body: Uint8Array): undefined {
    if (body.length < 8) {
      this.problem = 'bad-block';
      return undefined;
    }
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    let name = `interface ${this.interfaces.length}`;
    let resolution = 6; // microseconds unless said otherwise (draft section 4.2)
    let bitPerSecond: number | undefined;
    let fcsOctets: number | undefined;
    for (const [code, value] of this.#options(body, 8)) {
      if (code === OPTION.interfaceName) name = utf8Decoder.decode(value);
      if (code === OPTION.interfaceResolution && value.length >= 1) resolution = value[0]!;
      if (code === OPTION.interfaceFcsLength && value.length >= 1) fcsOctets = value[0]! >>> 3;
      if (code === OPTION.interfaceSpeed && value.length >= 8)
        bitPerSecond = Number(new DataView(value.buffer, value.byteOffset, 8).getBigUint64(0, this.#littleEndian));
    }
    // The top bit chooses a power of 2 rather than of 10.
    const unit = resolution & 0x80 ? 2n ** BigInt(resolution & 0x7f) : 10n ** BigInt(resolution & 0x7f);
    this.#units.push({ numerator: 1_000_000_000n, denominator: unit });
    this.interfaces.push({
      name,
      linkType: view.getUint16(0, this.#littleEndian),
      snapOctets: view.getUint32(4, this.#littleEndian),
      ...(bitPerSecond === undefined ? {} : { bitPerSecond }),
      ...(fcsOctets === undefined ? {} : { fcsOctets }),
    });
    return undefined;
  }

  #packet(body: Uint8Array): CapturedPacket | undefined {
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const captured = body.length < 20 ? Number.POSITIVE_INFINITY : view.getUint32(12, this.#littleEndian);
    if (20 + captured > body.length) {
      this.problem = 'bad-block';
      return undefined;
    }
    const interfaceId = view.getUint32(0, this.#littleEndian);
    const unit = this.#units[interfaceId];
    if (unit === undefined) {
      this.problem = 'bad-interface';
      return undefined;
    }
    const ticks =
      (BigInt(view.getUint32(4, this.#littleEndian)) << 32n) | BigInt(view.getUint32(8, this.#littleEndian));
    let comment = '';
    let flags = 0;
    let packetId = 0n;
    for (const [code, value] of this.#options(body, 20 + ((captured + 3) & ~3))) {
      const option = new DataView(value.buffer, value.byteOffset, value.length);
      if (code === OPTION.comment) comment = utf8Decoder.decode(value);
      if (code === OPTION.packetFlags && value.length >= 4) flags = option.getUint32(0, this.#littleEndian);
      if (code === OPTION.packetId && value.length >= 8) packetId = option.getBigUint64(0, this.#littleEndian);
    }
    return {
      interfaceId,
      at: ((ticks * unit.numerator) / unit.denominator) as WallTime,
      octets: body.slice(20, 20 + captured),
      originalOctets: view.getUint32(16, this.#littleEndian),
      comment,
      flags,
      packetId,
    };
  }

  *#options(body: Uint8Array, from: number): Generator<[number, Uint8Array], void, void> {
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    for (let at = from; at + 4 <= body.length; ) {
      const code = view.getUint16(at, this.#littleEndian);
      const length = view.getUint16(at + 2, this.#littleEndian);
      if (code === OPTION.end || at + 4 + length > body.length) return;
      yield [code, body.subarray(at + 4, at + 4 + length)];
      at += 4 + ((length + 3) & ~3);
    }
  }
}
