/**
 * IP packets that a hostile or broken peer might send: well formed at first, then spoiled in some fields, mostly with the
 * checksum made right again so that the deeper checks are reached. Deterministic by seed.
 */
import { Rng } from '../../src/core/index.ts';
import { ipv4FillChecksum } from '../../src/ip/index.ts';

const ADDRESSES = [
  '10.0.0.1',
  '10.9.0.1',
  '10.0.2.7',
  '10.0.3.7',
  '192.0.2.1',
  '203.0.113.5',
  '0.0.0.0',
  '127.0.0.1',
  '224.0.0.1',
  '224.0.0.11',
  '239.1.2.3',
  '255.255.255.255',
  '240.0.0.1',
  '169.254.1.1',
].map((text) => text.split('.').map(Number)); // prettier-ignore
const ADDRESSES6 = [
  '20010db8000000000000000000000001',
  '20010db8000900000000000000000001',
  '20010db8000200000000000000000007',
  'fe800000000000000000000000000001',
  'ff020000000000000000000000000001',
  'ff0e0000000000000000000000000001',
  '00000000000000000000000000000000',
  '00000000000000000000000000000001',
  '00000000000000000000ffff0a000001',
].map((hex) => hex.match(/../g)!.map((pair) => Number.parseInt(pair, 16)));
const PROTOCOLS = [1, 2, 4, 6, 17, 17, 0, 43, 44, 60, 41, 47, 50, 58, 59, 255];
const OPTIONS = [0, 1, 7, 68, 131, 137, 148, 130, 255];

export function hostileIpPacket(seed: number | string): Uint8Array {
  const rng = new Rng(seed, 'hostile');
  return fillHostilePacket(rng, new Uint8Array(2000));
}

/** The same into a buffer of at least 2000 octets; returns the part of it that is the packet. */
export function fillHostilePacket(rng: Rng, buffer: Uint8Array): Uint8Array {
  const kind = rng.below(16);
  const length = kind === 0 ? rng.below(64) : 20 + rng.below(rng.below(3) === 0 ? 1480 : 100);
  const octets = buffer.subarray(0, length);
  // Random words are costly next to the rest; a long payload need not be fresh to be hostile.
  for (let i = 0; i < Math.min(length, 96); i += 4) {
    const word = rng.uint32();
    buffer[i] = word;
    buffer[i + 1] = word >>> 8;
    buffer[i + 2] = word >>> 16;
    buffer[i + 3] = word >>> 24;
  }
  if (kind === 0) return octets;
  if (kind < 11) writeIpv4(rng, octets);
  else writeIpv6(rng, octets);
  for (let spoil = rng.below(8) === 0 ? 1 + rng.below(4) : 0; spoil > 0; spoil--) {
    octets[rng.below(Math.min(length, 80))]! ^= 1 << rng.below(8);
  }
  return rng.below(20) === 0 ? octets.subarray(0, rng.below(length + 1)) : octets;
}

function writeIpv4(rng: Rng, octets: Uint8Array): void {
  const length = octets.length;
  const words = rng.below(5) === 0 ? 5 + rng.below(Math.min(11, (length >>> 2) - 4)) : 5;
  octets[0] = 0x40 | words;
  const total = rng.below(30) === 0 ? rng.below(65_536) : length - (rng.below(10) === 0 ? rng.below(16) : 0);
  octets[2] = total >>> 8;
  octets[3] = total;
  // Few identifications, so that fragments meet.
  octets[4] = 0;
  octets[5] = rng.below(4);
  const fragment = rng.below(4) === 0;
  const offset = fragment ? (rng.below(10) === 0 ? 8191 - rng.below(8) : rng.below(40)) : 0;
  octets[6] = (fragment && rng.below(2) === 0 ? 0x20 : rng.below(3) === 0 ? 0x40 : 0) | (offset >>> 8);
  octets[7] = offset;
  octets[8] = rng.below(3) === 0 ? rng.below(3) : 64;
  octets[9] = PROTOCOLS[rng.below(PROTOCOLS.length)]!;
  octets.set(ADDRESSES[rng.below(ADDRESSES.length)]!, 12);
  octets.set(ADDRESSES[rng.below(ADDRESSES.length)]!, 16);
  if (fragment && rng.below(2) === 0) {
    // To the router itself, all of one flow.
    octets[9] = 17;
    octets.set([192, 0, 2, 1, 10, 9, 0, 1], 12);
  }
  for (let at = 20; at < words * 4 && at < length; ) {
    octets[at] = OPTIONS[rng.below(OPTIONS.length)]!;
    const optionOctets = rng.below(10) === 0 ? rng.below(256) : 3 + rng.below(8);
    if (at + 1 < length) octets[at + 1] = optionOctets;
    if (at + 2 < length && rng.below(4) > 0) octets[at + 2] = 4 + rng.below(10);
    at += Math.max(1, optionOctets);
  }
  if (rng.below(8) > 0 && words * 4 <= length) ipv4FillChecksum(octets, 0);
}

function writeIpv6(rng: Rng, octets: Uint8Array): void {
  const length = octets.length;
  octets[0] = 0x60 | rng.below(16);
  if (length < 40) return;
  const payload = rng.below(20) === 0 ? rng.below(65_536) : length - 40;
  octets[4] = payload >>> 8;
  octets[5] = payload;
  octets[6] = PROTOCOLS[rng.below(PROTOCOLS.length)]!;
  octets[7] = rng.below(3) === 0 ? rng.below(3) : 64;
  octets.set(ADDRESSES6[rng.below(ADDRESSES6.length)]!, 8);
  octets.set(ADDRESSES6[rng.below(ADDRESSES6.length)]!, 24);
  for (let at = 40; at + 1 < length && rng.below(3) > 0; at += 8) {
    octets[at] = PROTOCOLS[rng.below(PROTOCOLS.length)]!;
    octets[at + 1] = rng.below(5) === 0 ? rng.below(256) : rng.below(3);
  }
}
