/**
 * The onboard telemetry store on disk: a journal of what the downlink keeps, so that a reboot loses neither packets that wait for the
 * ground nor the sequence counts.
 *
 *   file   = "OMNITLS1" record*
 *   record = length u32 | CRC-32 u32 of what follows | kind u8 | …
 *   count  = 1 | APID u16 | next sequence count u16
 *   packet = 2 | waiting u8 | order u64 | packet octets
 *   mark   = 3 | waiting u8 | order u64
 *
 * Opening writes it anew without what was overwritten or torn (beside, synced, renamed), and so does growth beyond twice the store.
 * Records are not synced one by one: they survive the process at once, a crash of the machine some seconds later.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { type DownlinkState, parseSpacePacket, SEQUENCE_MODULUS, type StoreChange } from '../apps/telemetry/index.ts';

const MAGIC = Buffer.from('OMNITLS1');
const HEADER_OCTETS = 8;
const KIND = { count: 1, packet: 2, mark: 3 } as const;
/** Rewriting pays only when the journal is larger than this, however small the store. */
const SMALLEST_REWRITE_OCTETS = 1 << 20;

export class TelemetryStoreFile {
  readonly #file: string;
  readonly #rewriteOctets: number;
  #descriptor: number | undefined;
  #octets = 0;

  /** @param storeOctets size of the ring */
  constructor(file: string, storeOctets: number) {
    this.#file = file;
    this.#rewriteOctets = Math.max(SMALLEST_REWRITE_OCTETS, 2 * storeOctets);
    mkdirSync(dirname(file), { recursive: true });
  }

  /** What the last process left; undefined when there is nothing. A damaged end is left out. */
  read(): DownlinkState | undefined {
    let octets: Buffer;
    try {
      octets = readFileSync(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return octets.subarray(0, MAGIC.length).equals(MAGIC) ? replayed(octets) : undefined;
  }

  /** Writes the whole state anew; further changes are appended to it. */
  rewrite(state: DownlinkState): void {
    const temporary = `${this.#file}.new`;
    const descriptor = openSync(temporary, 'w', 0o644);
    const octets = Buffer.concat([
      MAGIC,
      ...[...state.counts].map(([apid, next]) => countRecord(apid, next)),
      ...state.packets.map((packet) => packetRecord(packet.order, packet.waiting, packet.octets)),
    ]);
    writeSync(descriptor, octets);
    fsyncSync(descriptor);
    renameSync(temporary, this.#file);
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    this.#octets = octets.length;
  }

  /** @param state asked for when the journal has grown too long */
  append(changes: readonly StoreChange[], state: () => DownlinkState): void {
    if (changes.length === 0) return;
    if (this.#descriptor === undefined || this.#octets > this.#rewriteOctets) {
      this.rewrite(state());
      return;
    }
    const octets = Buffer.concat(
      changes.map((change) =>
        change.kind === 'kept'
          ? packetRecord(change.packet.order, change.packet.waiting, change.packet.octets)
          : markRecord(change.order, change.waiting),
      ),
    );
    writeSync(this.#descriptor, octets);
    this.#octets += octets.length;
  }

  close(): void {
    if (this.#descriptor === undefined) return;
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function replayed(octets: Buffer): DownlinkState {
  const counts = new Map<number, number>();
  const packets = new Map<number, { octets: Uint8Array; order: number; waiting: boolean }>();
  for (const body of bodiesOf(octets)) {
    const kind = body[0];
    if (kind === KIND.count) counts.set(body.readUInt16BE(1), body.readUInt16BE(3));
    else {
      const waiting = body[1] === 1;
      const order = Number(body.readBigUInt64BE(2));
      const known = packets.get(order);
      if (kind === KIND.mark) {
        if (known !== undefined) known.waiting = waiting;
        continue;
      }
      const packet = Uint8Array.from(body.subarray(10));
      const parsed = parseSpacePacket(packet);
      if (!parsed.ok) continue;
      packets.set(order, { octets: packet, order, waiting });
      const { apid, sequenceCount } = parsed.value.packet;
      counts.set(apid, (sequenceCount + 1) % SEQUENCE_MODULUS);
    }
  }
  return { counts, packets: [...packets.values()] };
}

function* bodiesOf(octets: Buffer): Generator<Buffer> {
  let at = MAGIC.length;
  while (at + HEADER_OCTETS < octets.length) {
    const end = at + HEADER_OCTETS + octets.readUInt32BE(at);
    if (end > octets.length) return;
    const body = octets.subarray(at + HEADER_OCTETS, end);
    if (body.length < (body[0] === KIND.count ? 5 : 10) || crc32(body) !== octets.readUInt32BE(at + 4)) return;
    yield body;
    at = end;
  }
}

function framed(body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_OCTETS);
  header.writeUInt32BE(body.length, 0);
  header.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([header, body]);
}

function countRecord(apid: number, next: number): Buffer {
  const body = Buffer.alloc(5);
  body[0] = KIND.count;
  body.writeUInt16BE(apid, 1);
  body.writeUInt16BE(next, 3);
  return framed(body);
}

function markRecord(order: number, waiting: boolean): Buffer {
  const body = Buffer.alloc(10);
  body[0] = KIND.mark;
  body[1] = waiting ? 1 : 0;
  body.writeBigUInt64BE(BigInt(order), 2);
  return framed(body);
}

function packetRecord(order: number, waiting: boolean, octets: Uint8Array): Buffer {
  const body = Buffer.alloc(10 + octets.length);
  body[0] = KIND.packet;
  body[1] = waiting ? 1 : 0;
  body.writeBigUInt64BE(BigInt(order), 2);
  body.set(octets, 10);
  return framed(body);
}
