/** A NAT for UDP in a namespace, in user space: address and port translation with mappings that end when nothing leaves by them. */
import { spawnSync } from 'node:child_process';
import { loadNative, type Native, type Reactor } from '../../src/io/native.ts';
import { formatIpv4, ipv4Destination, ipv4Protocol, ipv4Source, PROTOCOL } from '../../src/ip/index.ts';
import { emitUdpDatagram, parseUdpDatagram, type UdpDatagram } from '../../src/mobileip/index.ts';
import { ip } from './mobileip.ts';

interface Mapping {
  readonly inside: { readonly address: number; readonly port: number };
  readonly port: number;
  usedAt: number;
}

const SLOT = 2048;
const TABLE = 77;

export class UdpNat {
  /** Of a mapping, since the last datagram that left by it. */
  lifetimeMilliseconds: number;
  readonly counters = { out: 0, in: 0, unmapped: 0, otherProtocol: 0 };
  readonly #outside: number;
  readonly #native: Native;
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #mappings: Mapping[] = [];
  readonly #arena = new Uint8Array(2 * SLOT);
  #nextPort = 40_000;

  static async start(
    namespace: string,
    inside: string,
    outside: string,
    lifetimeMilliseconds: number,
  ): Promise<UdpNat> {
    return new UdpNat(await loadNative(), namespace, inside, outside, lifetimeMilliseconds);
  }

  private constructor(
    native: Native,
    namespace: string,
    inside: string,
    outside: string,
    lifetimeMilliseconds: number,
  ) {
    this.#native = native;
    this.#outside = ip(outside);
    this.lifetimeMilliseconds = lifetimeMilliseconds;
    this.#fd = native.openTun({ name: 'nat0', netns: `/run/netns/${namespace}` }).fd;
    this.#reactor = native.createReactor(() => this.#wake());
    this.#reactor.addTun(this.#fd, 0);
    const lines = [
      'link set nat0 up',
      `route add ${outside}/32 dev nat0`,
      `route add default dev nat0 table ${TABLE}`,
      `rule add from ${inside} lookup ${TABLE} priority ${TABLE}`,
    ];
    const done = spawnSync('ip', ['-n', namespace, '-batch', '-'], { input: lines.join('\n'), encoding: 'utf8' });
    if (done.status !== 0) throw new Error(done.stderr);
  }

  /** As a NAT that was switched off and on. */
  forgetAll(): void {
    this.#mappings.length = 0;
  }

  close(): void {
    this.#reactor.close();
    this.#native.closeFd(this.#fd);
  }

  #wake(): void {
    const out = new Int32Array(2);
    while (this.#reactor.readBatch(this.#arena, new Int32Array([0]), 1, SLOT, out) === 1) {
      const octets = this.#arena.slice(0, Math.max(0, out[1]!));
      const datagram = octets.length < 28 ? undefined : parseUdpDatagram(octets);
      if (datagram === undefined || ipv4Protocol(octets, 0) !== PROTOCOL.udp) this.counters.otherProtocol++;
      else if (ipv4Destination(octets, 0) === this.#outside) this.#inward(datagram);
      else this.#outward(datagram, ipv4Source(octets, 0));
    }
  }

  #outward(datagram: UdpDatagram, address: number): void {
    const now = performance.now();
    const alive = (each: Mapping) => now - each.usedAt < this.lifetimeMilliseconds;
    let mapping = this.#mappings.find(
      (each) => each.inside.address === address && each.inside.port === datagram.sourcePort && alive(each),
    );
    if (mapping === undefined) {
      mapping = { inside: { address, port: datagram.sourcePort }, port: this.#nextPort++, usedAt: now };
      this.#mappings.push(mapping);
    }
    mapping.usedAt = now;
    this.counters.out++;
    this.#write({ ...datagram, source: this.#outside, sourcePort: mapping.port });
  }

  #inward(datagram: UdpDatagram): void {
    const now = performance.now();
    const mapping = this.#mappings.find((each) => each.port === datagram.destinationPort);
    if (mapping === undefined || now - mapping.usedAt >= this.lifetimeMilliseconds) {
      this.counters.unmapped++;
      return;
    }
    this.counters.in++;
    this.#write({ ...datagram, destination: mapping.inside.address, destinationPort: mapping.inside.port });
  }

  #write(datagram: UdpDatagram): void {
    const octets = emitUdpDatagram(datagram);
    this.#arena.set(octets, SLOT);
    this.#reactor.writeBatch(this.#arena, new Int32Array([0, SLOT, octets.length]), 1, new Int32Array(1));
  }

  toString(): string {
    return `NAT ${formatIpv4(this.#outside)}: ${JSON.stringify(this.counters)}`;
  }
}
