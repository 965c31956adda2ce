/**
 * The receiver of a line: hostile packets in good frames, then bits of the line flipped, cut out and made up. Everything that
 * comes through goes to a router, as it would.
 */
import { type Instant, InvariantError, ORIGIN, PacketPool, Rng } from '../../src/core/index.ts';
import {
  appendFlags,
  appendStuffed,
  BitBuffer,
  ciscoHdlc,
  Deframer,
  describeParseFailure,
  type Encapsulation,
  fcsOctets,
  frameRelay,
  payloadIpVersion,
  payloadOffset,
  ppp,
  writeFcs,
} from '../../src/hdlc/index.ts';
import { checkIpv4, parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { Router } from '../../src/router/index.ts';
import { fillHostilePacket } from '../support/hostile-packets.ts';
import type { FuzzTarget } from './target.ts';

const LARGEST_FRAME_OCTETS = 1614;
const ENCAPSULATIONS: readonly Encapsulation[] = [frameRelay(), ciscoHdlc(), ppp()];

export const target: FuzzTarget = {
  name: 'hdlc',
  /** A step is a stretch of line; its ingress names the encapsulation and the FCS. */
  *inputs(seed, count) {
    const rng = new Rng(seed, 'fuzz/hdlc');
    const buffer = new Uint8Array(2100);
    const line = new BitBuffer();
    for (let i = 0; i < count; i++) {
      const ingress = rng.below(6);
      line.clear();
      if (rng.below(3) > 0) appendFlags(line, rng.below(3));
      const octets = fillHostilePacket(rng, buffer.subarray(16, 2016));
      const encapsulation = ENCAPSULATIONS[ingress % 3]!;
      const start = 16 - encapsulation.headerOctets;
      encapsulation.writeHeader(buffer, start, octets[0]! >>> 4 === 6 ? 'ipv6' : 'ipv4');
      if (rng.below(8) === 0) buffer[start + rng.below(encapsulation.headerOctets)]! ^= 1 << rng.below(8);
      const end = writeFcs(ingress < 3 ? 16 : 32, buffer, start, 16 + octets.length);
      appendStuffed(line, buffer, start, end);
      appendFlags(line, 1 + rng.below(2));
      const bits = line.octets.slice(0, (line.length + 7) >>> 3);
      for (let flips = rng.below(3) === 0 ? rng.below(6) : 0; flips > 0; flips--) {
        const bit = rng.below(line.length);
        bits[bit >>> 3]! ^= 1 << (bit & 7);
      }
      if (rng.below(50) === 0) bits.fill(rng.below(2) * 255, rng.below(bits.length));
      yield { ingress, octets: bits };
    }
  },
  run(steps) {
    const pool = new PacketPool({ capacity: 64, slotOctets: 2048 });
    const router = new Router({
      pool,
      interfaces: [
        { name: 'host', kind: 'host', mtuOctets: 1500, addresses: [parseAddress('10.0.0.1')!] },
        { name: 'line', kind: 'link', mtuOctets: 1500 },
      ],
      routes: [{ prefix: parsePrefix('0.0.0.0/0')!, interface: 1 }],
    });
    const deframers = Array.from({ length: 6 }, (_, i) => new Deframer({ fcs: i < 3 ? 16 : 32 }));
    let now: Instant = ORIGIN;
    for (const { ingress, octets } of steps) {
      const deframer = deframers[ingress]!;
      deframer.push(octets, 8 * octets.length);
      for (let frame = deframer.pollFrame(); frame !== undefined; frame = deframer.pollFrame()) {
        if (frame.octets.length > LARGEST_FRAME_OCTETS)
          throw new InvariantError(`a frame of ${frame.octets.length} octets`);
        if (frame.outcome !== 'good') continue;
        const end = frame.octets.length - fcsOctets(ingress < 3 ? 16 : 32);
        const parsed = ENCAPSULATIONS[ingress % 3]!.parse(frame.octets, 0, end);
        if (parsed < 0) {
          describeParseFailure(parsed);
          continue;
        }
        const offset = payloadOffset(parsed);
        const version = payloadIpVersion(parsed);
        if (offset > end || (version !== 4 && version !== 6)) throw new InvariantError(`parsed ${offset}, ${version}`);
        const packet = pool.copyOf(frame.octets.subarray(offset, end))!;
        router.receive(packet, 1, now);
      }
      now = (now + 50e6) as Instant;
      for (const { queue } of router.interfaces)
        for (let packet = queue.dequeue(now); packet !== undefined; packet = queue.dequeue(now)) {
          const { arena, start, length } = packet;
          if (arena[start]! >>> 4 === 4 && checkIpv4(arena, start, length) !== undefined)
            throw new InvariantError('sent a packet with a wrong header');
          pool.release(packet);
        }
    }
    if (router.imbalance() !== 0) throw new InvariantError(`imbalance: ${router.imbalance()}`);
    if (pool.available !== pool.capacity) throw new InvariantError('packets that were never released');
  },
};
