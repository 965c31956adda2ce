/**
 * Packets that wait for a contact, in a file: what survives a restart of the link daemon. The port is router/hold-store.ts.
 *
 *   file:    "omnihold1" | record …
 *   record:  state (A5 held, 5A taken) | octets, uint32 | queued at, float64 ms since 1970
 *            | header and segment octets of a train of TCP segments, uint16 each, or 0 | the datagram
 *
 * Appending is one write and taking marks the record before its packet is given out, so whatever the moment of a crash a packet
 * is given at most once, and one that was not being sent is still there. A record cut short by a crash is ignored. The
 * kernel's page cache is trusted: this survives the process, not a power cut. The file is emptied when all is taken and
 * rewritten (new file, fsync, rename) when most of it is.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { type Instant, OmniError, type PacketBuffer, type SegmentTrain } from '../core/index.ts';
import type { HeldPacket, HoldStore } from '../router/index.ts';

// Specification constants of the file
const MAGIC = new TextEncoder().encode('omnihold1');
const RECORD_HEADER_OCTETS = 17;
const HELD = 0xa5;
const TAKEN = 0x5a;
// Implementation constants
const LARGEST_PACKET_OCTETS = 65_535;
/** Rewrite when this much of the file, and more than half of it, is taken. */
const COMPACT_AT_OCTETS = 1 << 20;

export interface HoldFileOptions {
  readonly path: string;
  /** This process's monotonic time, and the wall clock at that moment in ms: how ages carry over from one run to the next. */
  readonly now: Instant;
  readonly wallMilliseconds?: number;
}

interface Entry extends HeldPacket {
  readonly position: number;
  readonly train: SegmentTrain | undefined;
}

/** Throws OmniError OMNI_HOLD_STORE when the file cannot be opened or is another's. */
export class HoldFile implements HoldStore {
  readonly #path: string;
  readonly #now: Instant;
  readonly #wall: number;
  #file: number;
  #end = MAGIC.length;
  #entries: Entry[] = [];
  #next = 0;
  #octets = 0;
  readonly #record = new Uint8Array(RECORD_HEADER_OCTETS + LARGEST_PACKET_OCTETS);
  readonly #view = new DataView(this.#record.buffer);
  /** Why the last write or read failed, for status; undefined while all is well. */
  failure: string | undefined;

  constructor(options: HoldFileOptions) {
    this.#path = options.path;
    this.#now = options.now;
    this.#wall = options.wallMilliseconds ?? Date.now();
    try {
      this.#file = openSync(options.path, 'a+', 0o600);
      closeSync(this.#file);
      this.#file = openSync(options.path, 'r+');
      this.#load(statSync(options.path).size);
    } catch (cause) {
      if (cause instanceof OmniError) throw cause;
      throw new OmniError('OMNI_HOLD_STORE', `cannot open the store of held packets ${options.path}`, { cause });
    }
  }

  get packets(): number {
    return this.#entries.length - this.#next;
  }
  get octets(): number {
    return this.#octets;
  }

  first(): HeldPacket | undefined {
    return this.#entries[this.#next];
  }

  append(packet: PacketBuffer): boolean {
    const { length, queuedAt } = packet;
    this.#record[0] = HELD;
    this.#view.setUint32(1, length);
    this.#view.setFloat64(5, this.#wall + (queuedAt - this.#now) / 1e6);
    this.#view.setUint16(13, packet.train?.headerOctets ?? 0);
    this.#view.setUint16(15, packet.train?.segmentOctets ?? 0);
    this.#record.set(packet.view(), RECORD_HEADER_OCTETS);
    const size = RECORD_HEADER_OCTETS + length;
    // A write cut short (disk full) leaves a torn record past the end, which the next append overwrites.
    if (!this.#attempt(() => writeSync(this.#file, this.#record, 0, size, this.#end) === size)) return false;
    this.#entries.push({ position: this.#end, octets: length, queuedAt, train: packet.train });
    this.#end += size;
    this.#octets += length;
    return true;
  }

  take(into: PacketBuffer, room: number): boolean {
    const entry = this.#entries[this.#next];
    if (entry === undefined) return false;
    this.#next++;
    this.#octets -= entry.octets;
    const { position, octets } = entry;
    const from = position + RECORD_HEADER_OCTETS;
    const good = this.#attempt(
      () =>
        writeSync(this.#file, Uint8Array.of(TAKEN), 0, 1, position) === 1 &&
        octets <= room &&
        readSync(this.#file, into.arena, into.start, octets, from) === octets,
    );
    into.length = good ? octets : 0;
    into.queuedAt = entry.queuedAt;
    into.train = entry.train;
    this.#reclaim();
    return good;
  }

  close(): void {
    closeSync(this.#file);
  }

  #load(size: number): void {
    if (size === 0) {
      writeSync(this.#file, MAGIC, 0, MAGIC.length, 0);
      return;
    }
    const magic = new Uint8Array(MAGIC.length);
    readSync(this.#file, magic, 0, magic.length, 0);
    if (magic.some((octet, i) => octet !== MAGIC[i]))
      throw new OmniError('OMNI_HOLD_STORE', `${this.#path} is not a store of held packets`, {
        remedy: 'move the file away; a new one is made in its place',
      });
    while (this.#end + RECORD_HEADER_OCTETS <= size) {
      readSync(this.#file, this.#record, 0, RECORD_HEADER_OCTETS, this.#end);
      const state = this.#record[0];
      const octets = this.#view.getUint32(1);
      const next = this.#end + RECORD_HEADER_OCTETS + octets;
      if ((state !== HELD && state !== TAKEN) || octets === 0 || octets > LARGEST_PACKET_OCTETS || next > size) break;
      if (state === HELD) {
        // A wall clock that was set back must not make packets younger than now.
        const age = Math.max(0, this.#wall - this.#view.getFloat64(5)) * 1e6;
        const queuedAt = Math.round(this.#now - (Number.isFinite(age) ? age : 0)) as Instant;
        const headerOctets = this.#view.getUint16(13);
        const segmentOctets = this.#view.getUint16(15);
        const train = segmentOctets === 0 ? undefined : { headerOctets, segmentOctets };
        this.#entries.push({ position: this.#end, octets, queuedAt, train });
        this.#octets += octets;
      }
      this.#end = next;
    }
    ftruncateSync(this.#file, this.#end);
  }

  #reclaim(): void {
    if (this.packets === 0) {
      this.#entries = [];
      this.#next = 0;
      this.#attempt(() => {
        ftruncateSync(this.#file, MAGIC.length);
        this.#end = MAGIC.length;
        return true;
      });
      return;
    }
    const taken = this.#entries[this.#next]!.position - MAGIC.length;
    if (taken >= COMPACT_AT_OCTETS && taken > this.#end / 2) this.#attempt(() => this.#compact(taken));
  }

  #compact(taken: number): boolean {
    const path = `${this.#path}.new`;
    const file = openSync(path, 'w+', 0o600);
    writeSync(file, MAGIC, 0, MAGIC.length, 0);
    let position = MAGIC.length;
    while (position + taken < this.#end) {
      const read = readSync(this.#file, this.#record, 0, this.#record.length, position + taken);
      if (read === 0 || writeSync(file, this.#record, 0, read, position) !== read) {
        closeSync(file);
        return false;
      }
      position += read;
    }
    fsyncSync(file);
    renameSync(path, this.#path);
    closeSync(this.#file);
    this.#file = file;
    this.#entries = this.#entries.slice(this.#next).map((entry) => ({ ...entry, position: entry.position - taken }));
    this.#next = 0;
    this.#end -= taken;
    return true;
  }

  #attempt(act: () => boolean): boolean {
    try {
      if (act()) return true;
      this.failure = `${this.#path}: written or read only in part`;
    } catch (error) {
      this.failure = (error as Error).message;
    }
    return false;
  }
}
