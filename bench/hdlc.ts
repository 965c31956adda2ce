/** Time per octet of the framing layer, on frames of 1500 random octets with their FCS. */
import { Rng } from '../src/core/index.ts';
import {
  appendFlags,
  appendStuffed,
  BitBuffer,
  countInsertedZeros,
  Deframer,
  fcs16,
  fcs32,
  frameRelay,
  writeFcs,
} from '../src/hdlc/index.ts';
import type { Benchmark } from './benchmark.ts';

const FRAMES = 64;
const PAYLOAD_OCTETS = 1500;
const FRAME_OCTETS = PAYLOAD_OCTETS + 2;

export function benchmarks(): Benchmark[] {
  const rng = new Rng(1, 'bench/hdlc');
  const frames = Array.from({ length: FRAMES }, () => {
    const frame = new Uint8Array(FRAME_OCTETS);
    rng.fill(frame);
    writeFcs(16, frame, 0, PAYLOAD_OCTETS);
    return frame;
  });
  const each = (name: string, run: (frame: Uint8Array) => number, yardstick = false): Benchmark => ({
    name,
    unit: 'octet',
    unitsPerRun: FRAMES * FRAME_OCTETS,
    yardstick,
    run: () => frames.reduce((sum, frame) => sum + run(frame), 0),
  });

  const out = new BitBuffer();
  const line = lineOf(frames, 0);
  const shiftedLine = lineOf(frames, 3);
  const fill = new BitBuffer();
  appendFlags(fill, FRAMES * FRAME_OCTETS);
  const header = frameRelay();
  return [
    each('sum of the octets', sumOctets, true),
    each('fcs16', (frame) => fcs16(frame, 0, FRAME_OCTETS)),
    each('fcs32', (frame) => fcs32(frame, 0, FRAME_OCTETS)),
    each('countInsertedZeros', (frame) => countInsertedZeros(frame, 0, FRAME_OCTETS)),
    each('appendStuffed', (frame) => {
      out.clear();
      appendStuffed(out, frame, 0, FRAME_OCTETS);
      return out.length;
    }),
    deframing('Deframer', line, 0),
    deframing('Deframer, frames off the octet boundary', shiftedLine, 3),
    deframing('Deframer, flags only', fill, 0),
    each('Frame Relay header, written and parsed (per octet of the frame)', (frame) => {
      header.writeHeader(frame, 0, 'ipv4');
      return header.parse(frame, 0, PAYLOAD_OCTETS);
    }),
  ];
}

function lineOf(frames: readonly Uint8Array[], offset: number): BitBuffer {
  const line = new BitBuffer();
  line.appendBits(0, offset);
  appendFlags(line, 1);
  for (const frame of frames) {
    appendStuffed(line, frame, 0, frame.length);
    appendFlags(line, 1);
  }
  return line;
}

/** The whole receiver: flags, destuffing, FCS, a copy of each frame. */
function deframing(name: string, line: BitBuffer, firstBit: number): Benchmark {
  const deframer = new Deframer({ fcs: 16 });
  return {
    name,
    unit: 'octet',
    unitsPerRun: FRAMES * FRAME_OCTETS,
    run(): number {
      let octets = 0;
      deframer.push(line.octets, line.length - firstBit, firstBit);
      for (let frame = deframer.pollFrame(); frame !== undefined; frame = deframer.pollFrame()) {
        if (frame.outcome !== 'good') throw new Error(`a frame was ${frame.outcome}`);
        octets += frame.octets.length;
      }
      return octets;
    },
  };
}

function sumOctets(frame: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < frame.length; at++) sum += frame[at]!;
  return sum;
}
