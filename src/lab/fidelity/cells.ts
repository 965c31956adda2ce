/**
 * What the fidelity measurements cover: each cell of a table, cut into shards that worker threads take one by one. A shard's
 * seed follows from its cell and its number alone, so the table is the same whatever the number of cores.
 */
import type { LineCode, NoiseConfig } from '../../channel/index.ts';
import type { FcsWidth } from '../../hdlc/index.ts';
import { type FrameErrorRateOptions, measureFrameErrorRate } from '../frame-error-rate.ts';

export interface Cell {
  /** Header, payload and FCS. */
  readonly frameOctets: number;
  readonly fcs: FcsWidth;
  readonly lineCoding: readonly LineCode[];
  readonly noise: NoiseConfig;
}

export interface Shard {
  readonly cell: number;
  readonly options: FrameErrorRateOptions;
}

export const BIT_ERROR_RATES = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2] as const;
/** A telnet character, a mail command, a page of telemetry, UoSAT-12's TCP segment and a full Ethernet-sized packet. */
export const FRAME_SIZES = [46, 110, 302, 558, 1506] as const;
const FRAMES_PER_SHARD = 250_000;

export function frameErrorRateCells(): Cell[] {
  return FRAME_SIZES.flatMap((frameOctets) =>
    BIT_ERROR_RATES.map((ber): Cell => ({ frameOctets, fcs: 16, lineCoding: [], noise: independent(ber) })),
  );
}

export function frameErrorRateShards(cells: readonly Cell[], framesPerCell: number): Shard[] {
  return cells.flatMap((cell, index) =>
    cut(framesPerCell, FRAMES_PER_SHARD).map((frames, shard) => shardOf(cell, index, shard, frames)),
  );
}

const LINE_CODINGS: readonly (readonly LineCode[])[] = [[], ['nrzi'], ['g3ruh']];
const DAMAGED_PER_SHARD = 100_000;

/** A stretch of some 64 random bits in every 100,000: the damage that a check sequence is taken to be made for. */
const BURSTS: NoiseConfig = { kind: 'burst', goodBits: 100_000, badBits: 64, goodBer: 0, badBer: 0.5 };

export function undetectedCells(): Cell[] {
  const cells: Cell[] = [];
  for (const fcs of [16, 32] as const)
    for (const lineCoding of LINE_CODINGS)
      for (const frameOctets of [64, 558])
        for (const ber of [1e-5, 1e-4, 1e-3, 1e-2])
          cells.push({ frameOctets, fcs, lineCoding, noise: independent(ber) });
  for (const fcs of [16, 32] as const)
    for (const lineCoding of LINE_CODINGS) cells.push({ frameOctets: 558, fcs, lineCoding, noise: BURSTS });
  return cells;
}

/**
 * Shards that hold at least so many damaged frames together. Each has contents of its own: how a single error changes a frame's
 * length depends on them, so that many frames of few contents would look more certain than they are.
 */
export function undetectedShards(cells: readonly Cell[], damagedPerCell: number): Shard[] {
  return cells.flatMap((cell, index) => {
    const share = damagedShare(cell);
    return cut(damagedPerCell, DAMAGED_PER_SHARD).map((damaged, shard) =>
      shardOf(cell, index, shard, Math.ceil(damaged / share)),
    );
  });
}

/** At least so many of the frames are hit. */
function damagedShare({ frameOctets, noise }: Cell): number {
  const bits = 8 * frameOctets;
  if (noise.kind === 'independent') return -Math.expm1(bits * Math.log1p(-noise.ber));
  if (noise.kind === 'burst') return -Math.expm1(-bits / (noise.goodBits + noise.badBits));
  return 1;
}

const independent = (ber: number): NoiseConfig => ({ kind: 'independent', ber });

export const runShard = (shard: Shard) => measureFrameErrorRate(shard.options);

function shardOf(cell: Cell, cellIndex: number, shard: number, frames: number): Shard {
  return {
    cell: cellIndex,
    options: {
      frameOctets: cell.frameOctets - cell.fcs / 8,
      frames,
      noise: cell.noise,
      seed: 1_000_000 * (cellIndex + 1) + shard,
      fcs: cell.fcs,
      lineCoding: cell.lineCoding,
    },
  };
}

function cut(total: number, part: number): number[] {
  const parts: number[] = [];
  for (let left = total; left > 0; left -= part) parts.push(Math.min(left, part));
  return parts;
}
