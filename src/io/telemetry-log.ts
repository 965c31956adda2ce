/**
 * The recorder's store: an append-only log in segment files. docs/adr/telemetry-store.md says why not a database.
 *
 *   segment  = "OMNITLM1" record*
 *   record   = length u32 | CRC-32 u32 of what follows | receipt time, ns since 1970 i64 | flags u8 | packet octets
 *
 * Appends are collected and committed together: write, fdatasync, then they count as stored and `stored` moves on. A record that is
 * torn by a crash fails its length or CRC; opening cuts it off, and nothing behind the last commit was ever called stored.
 */
import {
  closeSync,
  fdatasync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  write,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { OmniError, type WallTime } from '../core/index.ts';

const MAGIC = Buffer.from('OMNITLM1');
const RECORD_HEADER = 8;
const RECORD_FIXED = 9;
const LONGEST_RECORD = RECORD_FIXED + 65_542;
const SUFFIX = '.tlm';
/** Uncommitted records beyond this are refused: the disk is slower than the link. */
const MOST_PENDING_OCTETS = 64 * 1024 * 1024;

export interface LogRecord {
  readonly receivedAt: WallTime;
  /** From the onboard store. */
  readonly replay: boolean;
  readonly octets: Uint8Array;
}

export class TelemetryLog {
  readonly #directory: string;
  readonly #segmentOctets: number;
  readonly #onStored: (() => void) | undefined;
  #descriptor: number;
  #segment: number;
  #length: number;
  #pending: Buffer[] = [];
  #pendingOctets = 0;
  #pendingRecords = 0;
  #committing = false;
  #idle: (() => void)[] = [];
  #failure: Error | undefined;
  /** Records appended and records safely on disk, since this log was opened. */
  appended = 0;
  stored = 0;

  /** Throws OmniError OMNI_TELEMETRY_LOG when the directory cannot be used. */
  constructor(directory: string, options: { segmentOctets: number; onStored?: () => void }) {
    this.#directory = directory;
    this.#segmentOctets = options.segmentOctets;
    this.#onStored = options.onStored;
    try {
      mkdirSync(directory, { recursive: true });
      const last = segmentsOf(directory).at(-1);
      this.#segment = last ?? 0;
      this.#descriptor = openSync(segmentFile(directory, this.#segment), 'a+');
      this.#length = last === undefined ? this.#begin() : this.#repair();
    } catch (cause) {
      throw new OmniError(
        'OMNI_TELEMETRY_LOG',
        `cannot record telemetry in ${directory}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  /** False when it could not be taken: the disk failed or is too far behind. */
  append(record: LogRecord): boolean {
    if (this.#failure !== undefined || this.#pendingOctets > MOST_PENDING_OCTETS) return false;
    const body = Buffer.allocUnsafe(RECORD_HEADER + RECORD_FIXED + record.octets.length);
    body.writeUInt32BE(RECORD_FIXED + record.octets.length, 0);
    body.writeBigInt64BE(record.receivedAt, 8);
    body.writeUInt8(record.replay ? 1 : 0, 16);
    body.set(record.octets, 17);
    body.writeUInt32BE(crc32(body.subarray(RECORD_HEADER)), 4);
    this.#pending.push(body);
    this.#pendingOctets += body.length;
    this.#pendingRecords++;
    this.appended++;
    this.#commit();
    return true;
  }

  /** Resolves when all that was appended so far is stored; rejects when the disk failed. */
  async flush(): Promise<void> {
    while (this.#committing || this.#pending.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    if (this.#failure !== undefined)
      throw new OmniError('OMNI_TELEMETRY_LOG', `recording failed: ${this.#failure.message}`, { cause: this.#failure });
  }

  async close(): Promise<void> {
    await this.flush().finally(() => closeSync(this.#descriptor));
  }

  /** One commit at a time; what arrives meanwhile goes into the next. */
  #commit(): void {
    if (this.#committing || this.#pending.length === 0) return;
    this.#committing = true;
    const octets = Buffer.concat(this.#pending);
    const records = this.#pendingRecords;
    this.#pending = [];
    this.#pendingOctets = 0;
    this.#pendingRecords = 0;
    const done = (error: Error | null) => {
      this.#committing = false;
      if (error === null) {
        this.#length += octets.length;
        this.stored += records;
        this.#onStored?.();
        if (this.#length >= this.#segmentOctets) this.#roll();
        this.#commit();
      } else this.#failure = error;
      if (!this.#committing) for (const resolve of this.#idle.splice(0)) resolve();
    };
    this.#write(octets, 0, done);
  }

  #write(octets: Buffer, at: number, done: (error: Error | null) => void): void {
    write(this.#descriptor, octets, at, octets.length - at, null, (error, written) => {
      if (error !== null) done(error);
      else if (at + written < octets.length) this.#write(octets, at + written, done);
      else fdatasync(this.#descriptor, done);
    });
  }

  #roll(): void {
    closeSync(this.#descriptor);
    this.#segment++;
    this.#descriptor = openSync(segmentFile(this.#directory, this.#segment), 'a+');
    this.#length = this.#begin();
  }

  #begin(): number {
    writeSync(this.#descriptor, MAGIC);
    fsyncSync(this.#descriptor);
    // The new file's name must survive as well.
    const directory = openSync(this.#directory, 'r');
    fsyncSync(directory);
    closeSync(directory);
    return MAGIC.length;
  }

  /** Cuts a torn end off the last segment. */
  #repair(): number {
    const octets = readFileSync(segmentFile(this.#directory, this.#segment));
    if (octets.length < MAGIC.length) {
      ftruncateSync(this.#descriptor, 0);
      return this.#begin();
    }
    if (!octets.subarray(0, MAGIC.length).equals(MAGIC))
      throw new Error(`segment ${this.#segment} is not a telemetry log`);
    let end = MAGIC.length;
    for (const record of recordsOf(octets)) end = record.end;
    if (end < octets.length) {
      ftruncateSync(this.#descriptor, end);
      fsyncSync(this.#descriptor);
    }
    return end;
  }
}

/** All records of a log, or of its newest segments, oldest first. A torn end is where it stops; a log being written can be read. */
export function* readTelemetryLog(directory: string, newest = Number.POSITIVE_INFINITY): Generator<LogRecord> {
  const segments = segmentsOf(directory);
  for (const segment of segments.slice(Math.max(0, segments.length - newest)))
    yield* recordsOf(readFileSync(segmentFile(directory, segment)));
}

/** Reads on from where the last call stopped: for following a log that grows. */
export class TelemetryLogReader {
  readonly #directory: string;
  #segment = 0;
  #at = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  *next(): Generator<LogRecord> {
    for (const segment of segmentsOf(this.#directory)) {
      if (segment < this.#segment) continue;
      if (segment > this.#segment) this.#at = 0;
      this.#segment = segment;
      const octets = readFileSync(segmentFile(this.#directory, segment));
      for (const record of recordsOf(octets, this.#at)) {
        this.#at = record.end;
        yield record;
      }
    }
  }
}

function* recordsOf(octets: Buffer, from = 0): Generator<LogRecord & { end: number }> {
  let at = Math.max(from, MAGIC.length);
  while (at + RECORD_HEADER + RECORD_FIXED <= octets.length) {
    const length = octets.readUInt32BE(at);
    const end = at + RECORD_HEADER + length;
    if (length < RECORD_FIXED || length > LONGEST_RECORD || end > octets.length) return;
    const body = octets.subarray(at + RECORD_HEADER, end);
    if (crc32(body) !== octets.readUInt32BE(at + 4)) return;
    yield {
      receivedAt: body.readBigInt64BE(0) as WallTime,
      replay: (body.readUInt8(8) & 1) !== 0,
      octets: body.subarray(RECORD_FIXED),
      end,
    };
    at = end;
  }
}

const segmentFile = (directory: string, segment: number): string =>
  join(directory, `${String(segment).padStart(8, '0')}${SUFFIX}`);

function segmentsOf(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => /^\d{8}\.tlm$/.test(name))
    .map((name) => Number(name.slice(0, 8)))
    .sort((a, b) => a - b);
}
