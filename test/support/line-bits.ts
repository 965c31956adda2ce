/** Bits as text, for tests that read like RFC 1662: "01111110 0000…"; white space is ignored. */
import {
  appendFlags,
  appendStuffed,
  BitBuffer,
  type DeframedFrame,
  Deframer,
  type FcsWidth,
  writeFcs,
} from '../../src/hdlc/index.ts';

export const FLAG_TEXT = '01111110';

export function bitsOfText(text: string): BitBuffer {
  const bits = new BitBuffer();
  for (const character of text.replace(/\s/g, '')) bits.append(character === '1' ? 1 : 0);
  return bits;
}

export function bitArray(bits: BitBuffer): number[] {
  return Array.from({ length: bits.length }, (_, i) => bits.get(i));
}

export function textOfBits(bits: BitBuffer): string {
  return bitArray(bits).join('');
}

export function withFcs(width: FcsWidth, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(payload.length + width / 8);
  frame.set(payload);
  writeFcs(width, frame, 0, payload.length);
  return frame;
}

/** The stuffed contents alone, as text. */
export function stuffedText(frame: Uint8Array): string {
  const bits = new BitBuffer();
  appendStuffed(bits, frame, 0, frame.length);
  return textOfBits(bits);
}

/** Flag, frame, flag. */
export function framedBits(frame: Uint8Array): BitBuffer {
  const bits = new BitBuffer();
  appendFlags(bits, 1);
  appendStuffed(bits, frame, 0, frame.length);
  appendFlags(bits, 1);
  return bits;
}

export function drain(deframer: Deframer): DeframedFrame[] {
  const frames: DeframedFrame[] = [];
  for (let frame = deframer.pollFrame(); frame !== undefined; frame = deframer.pollFrame()) frames.push(frame);
  return frames;
}

export function deframe(bits: BitBuffer, deframer = new Deframer({ fcs: 16 })): DeframedFrame[] {
  deframer.push(bits.octets, bits.length);
  return drain(deframer);
}
