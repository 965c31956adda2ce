import { describe, expect, test } from 'vitest';
import { ALWAYS, Line, Timeline } from '../../src/channel/index.ts';
import { type Instant, NEVER, type PacketBuffer, PacketPool, type WallTime } from '../../src/core/index.ts';
import { frameRelay, writeFcs } from '../../src/hdlc/index.ts';
import { PcapngDecoder } from '../../src/io/pcapng.ts';
import { Recorder } from '../../src/io/recorder.ts';
import { describeLife } from '../../src/lab/describe-packet.ts';
import { fieldAt, locateWireBit, wireBits } from '../../src/lab/frame-bits.ts';
import { firstSequences, parsePacketFilter } from '../../src/lab/packet-filter.ts';
import { PacketLives } from '../../src/lab/packet-life.ts';
import { type RecordedPacket, recordedPacket } from '../../src/lab/recorded-packets.ts';

const milliseconds = (n: number): Instant => Math.round(n * 1e6) as Instant;

/** A TCP data segment from 10.12.0.1:20, 60 octets in all. */
function segment(sequence: number, ipId: number): Uint8Array {
  const octets = new Uint8Array(60);
  const view = new DataView(octets.buffer);
  octets.set([0x45, 0, 0, 60]);
  view.setUint16(4, ipId);
  octets.set([64, 6], 8);
  octets.set([10, 12, 0, 1, 192, 168, 12, 2], 12);
  view.setUint16(20, 20);
  view.setUint16(22, 40_000);
  view.setUint32(24, sequence);
  octets.set([0x50, 0x18, 0xff, 0xff], 32);
  return octets;
}

const makeRecorder = (): Recorder =>
  new Recorder({
    epoch: 962_798_400_000_000_000n as WallTime,
    links: [
      {
        name: 'space',
        directions: [
          { name: 'up', from: 'surrey', to: 'spacecraft', framing: 'frame-relay' },
          { name: 'down', from: 'spacecraft', to: 'surrey', framing: 'frame-relay' },
        ],
      },
    ],
  });

function recorded(recorder: Recorder): RecordedPacket[] {
  const decoder = new PcapngDecoder();
  const capture = recorder.capture({}, 'ring');
  return [...decoder.push(capture.read(1 << 20)!)].map(
    (packet, i) => recordedPacket(packet, decoder.interfaces[packet.interfaceId]!, i + 1)!,
  );
}

/** Three segments down a 38.4 kbit/s link, the second hit by noise and sent again as a fourth. */
function story(): RecordedPacket[] {
  const recorder = makeRecorder();
  const pool = new PacketPool({ capacity: 8, slotOctets: 256 });
  const send = (octets: Uint8Array, enters: number, starts: number, flipped: number[] = []): void => {
    const packet = pool.copyOf(octets)!;
    recorder.packetIn(0, 1, packet, milliseconds(enters));
    const start = packet.start - frameRelay().headerOctets;
    frameRelay().writeHeader(packet.arena, start, 'ipv4');
    const end = writeFcs(16, packet.arena, start, packet.end);
    const bits = wireBits(packet.arena.subarray(start, end));
    const ends = milliseconds(starts + bits / 38.4);
    recorder.frameSent(0, 1, packet.arena, start, end, packet.id, 1000, 1000 + bits, milliseconds(starts), ends);
    const arrives = milliseconds(starts + bits / 38.4 + 10);
    const outcome = flipped.length > 0 ? 'fcs' : 'good';
    recorder.frameReceived(0, 1, packet.arena, start, end, packet.id, outcome, flipped, arrives);
    if (flipped.length > 0) recorder.packetDropped(0, 1, packet, 'noise-fcs', arrives);
    else recorder.packetOut(0, 1, packet, arrives);
  };
  send(segment(5000, 1), 0, 0);
  send(segment(5020, 2), 1, 14, [12, 300]);
  send(segment(5040, 3), 2, 28);
  send(segment(5020, 4), 900, 900);
  return recorded(recorder);
}

/** A train of 200 octets of payload in segments of 50, on a line that hits its third frame. */
function trainStory(): RecordedPacket[] {
  const recorder = makeRecorder();
  const pool = new PacketPool({ capacity: 16, slotOctets: 512 });
  const octets = new Uint8Array(240);
  octets.set(segment(7000, 9));
  octets[3] = 240;
  const packet = pool.copyOf(octets)!;
  packet.train = { headerOctets: 40, segmentOctets: 50 };
  recorder.packetIn(0, 1, packet, milliseconds(0));
  let next: PacketBuffer | undefined = packet;
  const line = new Line({
    name: 'space.down',
    link: 0,
    direction: 1,
    seed: 1,
    settings: {
      rate: Timeline.constant(1_000_000),
      delay: Timeline.constant<number>(5_000_000),
      jitter: Timeline.constant<number>(0),
      noise: Timeline.constant({ kind: 'recorded', positions: [1900], periodBits: 0 }),
    },
    carrier: ALWAYS,
    inFlightAtLos: 'arrive',
    encapsulation: frameRelay(),
    fcs: 16,
    lineCoding: [],
    flagsBetweenFrames: 1,
    maximumFrameOctets: 512,
    pool,
    source: {
      dequeue: () => {
        const taken = next;
        next = undefined;
        return taken;
      },
      nextReadyAt: () => NEVER,
    },
    tap: recorder,
  });
  line.kick(milliseconds(0));
  for (let now = milliseconds(0); now < milliseconds(50); now = line.nextDeadline()) {
    line.handleTimeout(now);
    for (let part = line.pollDelivered(); part !== undefined; part = line.pollDelivered())
      recorder.packetOut(0, 1, part, part.arrivesAt);
  }
  return recorded(recorder);
}

describe("a packet's life", () => {
  test('is told in words', () => {
    const packets = story();
    const lives = new PacketLives(packets);
    expect(describeLife(lives.life(2)!, firstSequences(packets))).toMatchInlineSnapshot(`
      "packet 2: 10.12.0.1:20 → 192.168.12.2:40000 TCP PSH ACK seq 20 (raw 5020), 20 octets of data, IP id 0x0002
        space down
          12:00:00.001000  entered, traffic class 0
                          waited 13.0 ms behind 1 frame: packet 1 (66 octets, 12.8 ms)
                +13.0 ms  frame of 66 octets sent: 531 bits on the wire, 3 of them stuffed, in 13.8 ms
                +36.8 ms  received: FCS wrong, frame discarded; 2 bits hit:
                            bit 12: octet 1, bit 4 (link header)
                            bit 300: octet 37, bit 4 (TCP header)
                +36.8 ms  dropped: noise-fcs
        its octets were sent again as packet 4, 899.0 ms later"
    `);
    expect(describeLife(lives.life(3)!)).toMatchInlineSnapshot(`
      "packet 3: 10.12.0.1:20 → 192.168.12.2:40000 TCP PSH ACK seq 5040, 20 octets of data, IP id 0x0003
        space down
          12:00:00.002000  entered, traffic class 0
                          waited 26.0 ms behind 2 frames: packet 1 (66 octets, 11.8 ms), packet 2 (66 octets, 13.8 ms)
                +26.0 ms  frame of 66 octets sent: 532 bits on the wire, 4 of them stuffed, in 13.9 ms
                +49.9 ms  received: FCS good
                +49.9 ms  handed on at the far end"
    `);
    expect(lives.life(99)).toBeUndefined();
  });

  test('of a train names the frame that was lost, and the fate of the others', () => {
    const life = new PacketLives(trainStory()).life(1)!;
    expect(life.hops[0]).toMatchObject({ frames: 4, frame: 3, outcomes: { good: 3, fcs: 1 } });
    expect(describeLife(life)).toMatchInlineSnapshot(`
      "packet 1: 10.12.0.1:20 → 192.168.12.2:40000 TCP PSH ACK seq 7000, 200 octets of data, IP id 0x0009
        space down
          12:00:00.000000  entered, traffic class 0
                          did not wait
                 +1.6 ms  frame of 96 octets sent: 771 bits on the wire, 3 of them stuffed, in 771 µs
                          frame 3 of 4, a train of TCP segments; received: 3 FCS good; 1 FCS wrong, frame discarded
                 +7.3 ms  received: FCS wrong, frame discarded; 1 bit hit:
                            bit 332: octet 41, bit 1 (TCP header)
                 +6.6 ms  handed on at the far end
                 +7.3 ms  dropped: noise-fcs"
    `);
  });

  test('the wait is what the frames before it took', () => {
    const { queue } = new PacketLives(story()).life(3)!.hops[0]!;
    expect(queue?.seconds).toBeCloseTo(0.026, 6);
    expect(queue?.behind.map((frame) => frame.packetId)).toEqual([1, 2]);
  });
});

describe('filters', () => {
  const packets = story();
  test.each([
    ['ip.id==0x0002', [2]],
    ['ip.id == 2 && tap==ip-in', [2]],
    ['tcp.seq==20', [2, 4]],
    ['tcp.seq_raw==5040', [3]],
    ['tcp.port eq 40000 and outcome==fcs', [2]],
    ['drop==noise-fcs', [2]],
    ['frame.number==1', [1]],
    ['packet==4', [4]],
    ['ip.addr==192.168.12.2 && tcp.len==20 && tap==ip-out', [1, 3, 4]],
    ['udp.port==40000', []],
  ])('%s', (text, ids) => {
    const filter = parsePacketFilter(text, packets);
    if (!filter.ok) throw new Error(filter.reason);
    expect([...new Set(packets.filter(filter.value).map((p) => p.packetId))]).toEqual(ids);
  });

  test.each(['', 'tcp', 'tcp.seq>5', 'nonsense==1', '__proto__==1', 'ip.id==', 'a==1 || b==2'])(
    'refuses %j',
    (text) => {
      expect(parsePacketFilter(text, packets).ok).toBe(false);
    },
  );
});

describe('a bit on the wire', () => {
  test('counts the stuffed zeros', () => {
    const frame = Uint8Array.of(0xff, 0x01); // 11111 0 111 1 0000000
    expect(wireBits(frame)).toBe(17);
    expect(locateWireBit(frame, 4)).toEqual({ octet: 0, bit: 4, kind: 'data' });
    expect(locateWireBit(frame, 5)).toEqual({ octet: 0, bit: 4, kind: 'inserted zero' });
    expect(locateWireBit(frame, 6)).toEqual({ octet: 0, bit: 5, kind: 'data' });
    expect(locateWireBit(frame, 16)).toEqual({ octet: 1, bit: 7, kind: 'data' });
    expect(locateWireBit(frame, 17).kind).toBe('closing flag');
    expect(locateWireBit(frame, 30).kind).toBe('beyond');
  });

  test('belongs to a field', () => {
    const frame = Uint8Array.from([0x18, 0x41, 3, 0xcc, ...segment(1, 1), 0, 0]);
    expect([0, 4, 23, 24, 43, 44, 63, 64].map((octet) => fieldAt(frame, octet, 4, 2))).toEqual([
      'link header',
      'IP header',
      'IP header',
      'TCP header',
      'TCP header',
      'TCP payload',
      'TCP payload',
      'FCS',
    ]);
  });
});
