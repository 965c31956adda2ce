/**
 * `sealFrame` for frames of one arena, a third of its time: the arena is a WebAssembly memory, in which seal.wat works with
 * 128-bit operations (RFC 1662 section 5.2 and Appendix C). The results are those of seal.ts, bit for bit; there is one of each
 * because any octets can be sealed by seal.ts, and only an arena's by this.
 *
 * The first page of the memory holds the tables, the arena begins behind it.
 */
import { type FcsWidth, fcsOctets, TABLES_16, TABLES_32 } from './fcs.ts';
import { type SealFrame, sealFrame } from './seal.ts';
import { SEAL_MODULE } from './seal-module.ts';
import { STUFFED } from './stuffing.ts';

const PAGE_OCTETS = 65_536;
const LARGEST_MEMORY_PAGES = 65_536;
/** Where seal.wat has its tables; STEPS is named there too. */
const TABLES_16_AT = 0;
const TABLES_32_AT = 8192;
const STEPS_AT = 16_384;

// A part of ECMAScript engines that TypeScript declares for browsers only.
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
    readonly Module: new (octets: Uint8Array) => object;
    readonly Instance: new (
      module: object,
      imports: Record<string, Record<string, unknown>>,
    ) => { readonly exports: Record<string, unknown> };
    validate(octets: Uint8Array): boolean;
  };
};

export interface SealingArena {
  /** Zeroed; pages of memory are used from their first touch on. */
  readonly arena: Uint8Array;
  readonly seal: SealFrame;
}

/**
 * An arena of this many octets with the fastest `sealFrame` for it. Where the engine lacks 128-bit WebAssembly, or the arena
 * would pass its 4 GiB, that is the plain one.
 */
export function createSealingArena(octets: number): SealingArena {
  const pages = 1 + Math.ceil(octets / PAGE_OCTETS);
  const binary = Uint8Array.from(atob(SEAL_MODULE), (character) => character.charCodeAt(0));
  if (pages > LARGEST_MEMORY_PAGES || !WebAssembly.validate(binary))
    return { arena: new Uint8Array(octets), seal: sealFrame };
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  writeTables(new DataView(memory.buffer));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { omni: { memory } });
  const inside = exports.seal as (tables: number, crc: number, trailer: number, start: number, end: number) => number;
  const arena = new Uint8Array(memory.buffer, PAGE_OCTETS, octets);
  const seal: SealFrame = (width: FcsWidth, frame: Uint8Array, start: number, end: number): number => {
    if (frame !== arena) return sealFrame(width, frame, start, end);
    const trailer = fcsOctets(width);
    if (!(start >= 0 && start <= end && end + trailer <= octets))
      throw new RangeError(`a frame from ${start} to ${end} and its FCS in ${octets} octets`);
    return width === 16
      ? inside(TABLES_16_AT, 0xffff, trailer, PAGE_OCTETS + start, PAGE_OCTETS + end)
      : inside(TABLES_32_AT, -1, trailer, PAGE_OCTETS + start, PAGE_OCTETS + end);
  };
  return { arena, seal };
}

function writeTables(view: DataView): void {
  for (let i = 0; i < TABLES_16.length; i++) {
    view.setInt32(TABLES_16_AT + 4 * i, TABLES_16[i]!, true);
    view.setInt32(TABLES_32_AT + 4 * i, TABLES_32[i]!, true);
  }
  for (let i = 0; i < STUFFED.length; i++) {
    const zeros = ((STUFFED[i]! >>> 10) & 15) - 8;
    view.setUint8(STEPS_AT + i, (zeros << 3) | (STUFFED[i]! >>> 14));
  }
}
