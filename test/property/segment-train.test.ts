/**
 * A train of TCP segments crosses a line as the segments would one by one: the same frames on the same bits, the same errors, the
 * same segments out, whatever the noise; only that those which stayed together arrive together.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALWAYS, ContactList, Line, Timeline } from '../../src/channel/index.ts';
import {
  type Instant,
  NEVER,
  type PacketBuffer,
  PacketPool,
  type PacketSource,
  Rng,
  toHex,
} from '../../src/core/index.ts';
import { frameRelay } from '../../src/hdlc/index.ts';
import {
  internetChecksum,
  onesComplementSum,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
  SegmentView,
  segmentCount,
} from '../../src/ip/index.ts';

const at = (n: number): Instant => n as Instant;

interface Case {
  readonly seed: number;
  readonly trains: number;
  readonly payload: number;
  readonly segment: number;
  readonly ipv6: boolean;
  readonly options: number;
  readonly ber: number;
  readonly contacts: boolean;
}

const cases: fc.Arbitrary<Case> = fc.record({
  seed: fc.integer(),
  trains: fc.integer({ min: 1, max: 6 }),
  payload: fc.integer({ min: 1, max: 4000 }),
  segment: fc.integer({ min: 20, max: 600 }),
  ipv6: fc.boolean(),
  options: fc.integer({ min: 0, max: 10 }),
  ber: fc.constantFrom(0, 1e-5, 1e-4, 1e-3),
  contacts: fc.boolean(),
});

/** One datagram as a kernel with offload hands it over: checksum field with the pseudo-header's sum only. */
function superDatagram(c: Case, index: number): Uint8Array {
  const rng = new Rng(c.seed, `train ${index}`);
  const ip = c.ipv6 ? 40 : 20;
  const tcp = 20 + 4 * c.options;
  const octets = new Uint8Array(ip + tcp + c.payload);
  rng.fill(octets);
  const view = new DataView(octets.buffer);
  if (c.ipv6) {
    octets[0] = 0x60;
    view.setUint16(4, tcp + c.payload);
    octets[6] = 6;
  } else {
    octets[0] = 0x45;
    view.setUint16(2, octets.length);
    octets[9] = 6;
    view.setUint16(10, 0);
    view.setUint16(10, internetChecksum(octets, 0, 20));
  }
  octets[ip + 12] = (tcp / 4) << 4;
  const pseudo = c.ipv6
    ? pseudoHeaderSum6(octets, 8, 6, tcp + c.payload)
    : pseudoHeaderSum4(view.getUint32(12), view.getUint32(16), 6, tcp + c.payload);
  view.setUint16(ip + 16, pseudo);
  return octets;
}

const headerOctets = (c: Case) => (c.ipv6 ? 40 : 20) + 20 + 4 * c.options;

/** Every packet or train as the packets that a line sees. */
function segmentsOf(packet: PacketBuffer): string[] {
  const { train } = packet;
  if (train === undefined) return [toHex(packet.view())];
  const view = new SegmentView();
  return Array.from({ length: segmentCount(packet, train) }, (_, i) => {
    const before = toHex(packet.view());
    view.expose(packet, train, i, 4);
    const octets = toHex(packet.arena.subarray(view.start, view.end));
    view.restore();
    expect(toHex(packet.view())).toBe(before);
    return octets;
  });
}

class Trains implements PacketSource {
  readonly #packets: PacketBuffer[];
  constructor(packets: PacketBuffer[]) {
    this.#packets = packets;
  }
  dequeue(now: Instant): PacketBuffer | undefined {
    const packet = this.#packets[0];
    if (packet === undefined || packet.queuedAt > now) return undefined;
    return this.#packets.shift();
  }
  nextReadyAt(): Instant {
    return this.#packets[0]?.queuedAt ?? NEVER;
  }
}

function run(c: Case, apart: boolean): { segments: string[]; counters: Record<string, number> } {
  const pool = new PacketPool({ capacity: 2048, slotOctets: 8192 });
  const packets: PacketBuffer[] = [];
  for (let i = 0; i < c.trains; i++) {
    const packet = pool.copyOf(superDatagram(c, i))!;
    packet.queuedAt = at(i * 20_000_000);
    packet.train = { headerOctets: headerOctets(c), segmentOctets: c.segment };
    if (!apart) {
      packets.push(packet);
      continue;
    }
    for (const hex of segmentsOf(packet)) {
      const single = pool.copyOf(Uint8Array.from(hex.match(/../g)!, (octet) => Number.parseInt(octet, 16)))!;
      single.queuedAt = packet.queuedAt;
      packets.push(single);
    }
    pool.release(packet);
  }
  const line = new Line({
    name: 'space.down',
    link: 0,
    direction: 1,
    seed: c.seed,
    settings: {
      rate: Timeline.constant(1_000_000),
      delay: Timeline.constant<number>(5_000_000),
      jitter: Timeline.constant<number>(0),
      noise: Timeline.constant({ kind: 'independent', ber: c.ber }),
    },
    carrier: c.contacts
      ? new ContactList([
          { aos: at(0), los: at(15_000_000) },
          { aos: at(18_000_000), los: at(3e9) },
        ])
      : ALWAYS,
    inFlightAtLos: 'arrive',
    encapsulation: frameRelay(),
    fcs: 16,
    lineCoding: [],
    flagsBetweenFrames: 1,
    maximumFrameOctets: 6000,
    pool,
    source: new Trains(packets),
  });
  const segments: string[] = [];
  let now = 0;
  while (now < 2e9) {
    now = Math.min(2e9, line.nextDeadline());
    line.handleTimeout(at(now));
    for (let packet = line.pollDelivered(); packet !== undefined; packet = line.pollDelivered()) {
      segments.push(...segmentsOf(packet));
      pool.release(packet);
    }
  }
  const snapshot = line.snapshot(at(2e9));
  expect(snapshot.packetsIn! + (snapshot.packetsSplit ?? 0) + (snapshot.packetsSpurious ?? 0)).toBe(
    snapshot.packetsOut! + snapshot.packetsLost! + snapshot.packetsInFlight!,
  );
  expect(snapshot.packetsInFlight).toBe(0);
  expect(pool.available).toBe(2048);
  const { frameOctetsSent, bitsSent, bitErrors, framesGood, framesFcsError, octetsIn, octetsOut } = snapshot;
  return {
    segments,
    counters: { frameOctetsSent, bitsSent, bitErrors, framesGood, framesFcsError, octetsIn, octetsOut } as Record<
      string,
      number
    >,
  };
}

test('a train is carried as its segments are', () => {
  fc.assert(
    fc.property(cases, (c) => {
      expect(run(c, false)).toEqual(run(c, true));
    }),
    { numRuns: 50 },
  );
});

test('every segment of a train has good checksums, its own length and sequence number, and FIN and PSH only at the end', () => {
  fc.assert(
    fc.property(cases, (c) => {
      const pool = new PacketPool({ capacity: 4, slotOctets: 8192 });
      const packet = pool.copyOf(superDatagram(c, 0))!;
      packet.train = { headerOctets: headerOctets(c), segmentOctets: c.segment };
      const whole = packet.view().slice();
      const ip = c.ipv6 ? 40 : 20;
      const sequence = new DataView(whole.buffer).getUint32(ip + 4);
      const flags = whole[ip + 13]!;
      const parts = segmentsOf(packet).map((hex) => Uint8Array.from(hex.match(/../g)!, (o) => Number.parseInt(o, 16)));
      let payload = 0;
      for (const [i, part] of parts.entries()) {
        const view = new DataView(part.buffer);
        const tcpOctets = part.length - ip;
        const pseudo = c.ipv6
          ? pseudoHeaderSum6(part, 8, 6, tcpOctets)
          : pseudoHeaderSum4(view.getUint32(12), view.getUint32(16), 6, tcpOctets);
        expect(onesComplementSum(part, ip, tcpOctets, pseudo)).toBe(0xffff);
        if (!c.ipv6) {
          expect(onesComplementSum(part, 0, 20)).toBe(0xffff);
          expect(view.getUint16(2)).toBe(part.length);
        } else expect(view.getUint16(4)).toBe(part.length - 40);
        expect(view.getUint32(ip + 4)).toBe((sequence + payload) >>> 0);
        const last = i === parts.length - 1;
        expect(part[ip + 13]! & 0x09).toBe(last ? flags & 0x09 : 0);
        expect(part[ip + 13]! & 0x80).toBe(i === 0 ? flags & 0x80 : 0);
        payload += part.length - headerOctets(c);
      }
      expect(payload).toBe(c.payload);
    }),
    { numRuns: 100 },
  );
});
