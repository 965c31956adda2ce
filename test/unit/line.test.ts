import { expect, test } from 'vitest';
import { ALWAYS, Line, Timeline } from '../../src/channel/index.ts';
import { type Instant, PacketPool } from '../../src/core/index.ts';
import { frameRelay, sealFrame } from '../../src/hdlc/index.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

/** A datagram whose frame's FCS ends in five ones, so that an inserted zero is the frame's last bit. */
function datagramEndingInAnInsertedZero(): { octets: Uint8Array; stuffedBits: number } {
  const encapsulation = frameRelay();
  for (let n = 0; ; n++) {
    const frame = new Uint8Array(4 + 20 + 2);
    frame[4] = 0x45;
    frame[22] = n >>> 8;
    frame[23] = n;
    encapsulation.writeHeader(frame, 0, 'ipv4');
    const stuffedBits = sealFrame(16, frame, 0, 24);
    if (frame[25] === 0xf8) return { octets: frame.slice(4, 24), stuffedBits };
  }
}

test('a frame whose closing flag noise moves onto its inserted zero is the frame that was sent, not a loss and a spurious one', () => {
  const { octets, stuffedBits } = datagramEndingInAnInsertedZero();
  const pool = new PacketPool({ capacity: 8, slotOctets: 256 });
  const flag = 8 + stuffedBits;
  const line = new Line({
    name: 'space.down',
    link: 0,
    direction: 1,
    seed: 1,
    settings: {
      rate: Timeline.constant(9600),
      delay: Timeline.constant<number>(0),
      jitter: Timeline.constant<number>(0),
      // Five ones, the inserted 0, then 0111 1110 becomes 1111 1100: the 0 and these are a flag, one bit early.
      noise: Timeline.constant({ kind: 'recorded' as const, positions: [flag, flag + 6], periodBits: 0 }),
    },
    carrier: ALWAYS,
    inFlightAtLos: 'arrive',
    encapsulation: frameRelay(),
    fcs: 16,
    lineCoding: [],
    flagsBetweenFrames: 1,
    maximumFrameOctets: 100,
    pool,
    source: new ScriptedSource(pool, [{ at: 0 as Instant, octets }]),
  });
  for (let at = 0; at < 1e9; at = Math.min(1e9, line.nextDeadline())) line.handleTimeout(at as Instant);
  line.handleTimeout(1e9 as Instant);
  const packet = line.pollDelivered();
  expect(packet?.view()).toEqual(octets);
  const { packetsOut, packetsLost, packetsSpurious, packetsAltered } = line.snapshot(1e9 as Instant);
  expect({ packetsOut, packetsLost, packetsSpurious, packetsAltered }).toEqual({
    packetsOut: 1,
    packetsLost: 0,
    packetsSpurious: undefined,
    packetsAltered: undefined,
  });
});
