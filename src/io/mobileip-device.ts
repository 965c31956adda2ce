/**
 * The packets of a Mobile IP agent: a TUN of its own and raw sockets, in the network namespace of the process.
 *
 *   kernel ── route ──▶ mip0 ──▶ agent        what is to be tunnelled
 *   kernel ◀── mip0 ◀──────────── agent       what was tunnelled, and what came out of a tunnel: the kernel routes both
 *   kernel ── protocol 4, ICMP, UDP ─▶ agent  raw sockets: each a copy of what is delivered to this host
 *
 * An open raw socket of protocol 4 also keeps the kernel from answering tunnelled packets with "protocol unreachable". The
 * tunnel's source address is the host's own, so packets written to mip0 need accept_local, which every node of a testbed has.
 */
import { type Instant, OmniError, type PacketBuffer, PacketPool } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { Native, Reactor } from './native.ts';

export const DEVICE_NAME = 'mip0';
const AF_INET = 2;
const SOCK_RAW = 3;
const BATCH = 64;
const POOL_PACKETS = 8192;
const SLOT_OCTETS = 2304;

const TUN = 0;
const SOURCES = ['device', 'tunnel', 'icmp', 'udp'] as const;
/** Where a packet came from: the TUN, or a raw socket of protocol 4, ICMP, UDP. */
export type PacketSourceName = (typeof SOURCES)[number];
const PROTOCOLS: Readonly<Record<Exclude<PacketSourceName, 'device'>, number>> = { tunnel: 4, icmp: 1, udp: 17 };

export interface DeviceOptions {
  readonly native: Native;
  readonly sources: readonly Exclude<PacketSourceName, 'device'>[];
  /** UDP is heard from this interface only. */
  readonly udpInterface?: string;
  /** Takes ownership of the packet. */
  readonly receive: (packet: PacketBuffer, from: PacketSourceName, now: Instant) => void;
}

export class MobileIpDevice {
  readonly pool = new PacketPool({ capacity: POOL_PACKETS, slotOctets: SLOT_OCTETS });
  readonly #options: DeviceOptions;
  readonly #reactor: Reactor;
  readonly #fds: number[] = [];
  readonly #multicast = new Map<Ipv4Address, number>();
  readonly #outgoing: { index: number; packet: PacketBuffer }[] = [];
  readonly #offsets = new Int32Array(BATCH);
  readonly #out = new Int32Array(2 * BATCH);
  readonly #descriptors = new Int32Array(3 * BATCH);
  readonly #results = new Int32Array(BATCH);
  #flushing = false;
  writeErrors = 0;
  packetsRead = 0;
  packetsWritten = 0;

  /** Throws OmniError OMNI_TUN_OPEN. */
  constructor(options: DeviceOptions) {
    this.#options = options;
    const { native } = options;
    this.#reactor = native.createReactor(() => this.#wake());
    try {
      this.#watch(native.openTun({ name: DEVICE_NAME }).fd, TUN);
      for (const source of options.sources) {
        const only = source === 'udp' && options.udpInterface !== undefined ? { interface: options.udpInterface } : {};
        const socket = { domain: AF_INET, type: SOCK_RAW, protocol: PROTOCOLS[source], ...only };
        this.#watch(native.openSocketInNamespace(socket), SOURCES.indexOf(source));
      }
    } catch (cause) {
      this.close();
      throw new OmniError('OMNI_TUN_OPEN', (cause as Error).message, { cause, remedy: 'Mobile IP agents need root' });
    }
  }

  /** Monotonic. */
  now(): Instant {
    return this.#options.native.monotonicNanoseconds() as Instant;
  }

  /** Hands a whole IP datagram to the kernel, which routes it. Takes ownership. */
  send(packet: PacketBuffer): void {
    this.#queue(TUN, packet);
  }

  /** Sends an ICMP message to a multicast group of the link, TTL 1; the kernel's route to the group says by which device. */
  sendMulticast(group: Ipv4Address, icmp: Uint8Array): void {
    let index = this.#multicast.get(group);
    if (index === undefined) {
      const { native } = this.#options;
      const fd = native.openSocketInNamespace({ domain: AF_INET, type: SOCK_RAW, protocol: PROTOCOLS.icmp });
      index = SOURCES.length + this.#multicast.size;
      this.#fds.push(fd);
      native.connectSocket(fd, group);
      this.#reactor.addTun(fd, index);
      this.#reactor.pauseRead(index, true);
      this.#multicast.set(group, index);
    }
    const packet = this.pool.copyOf(icmp);
    if (packet !== undefined) this.#queue(index, packet);
  }

  close(): void {
    this.#reactor.close();
    for (const fd of this.#fds.splice(0)) this.#options.native.closeFd(fd);
  }

  #watch(fd: number, index: number): void {
    this.#fds.push(fd);
    this.#reactor.addTun(fd, index);
  }

  #wake(): void {
    const { receive } = this.#options;
    const now = this.now();
    for (let turns = 0; turns < 8; turns++) {
      const packets = this.#acquire();
      if (packets.length === 0) return;
      const { arena, largestPacketOctets } = this.pool;
      const used = this.#reactor.readBatch(arena, this.#offsets, packets.length, largestPacketOctets, this.#out);
      for (const [i, packet] of packets.entries()) {
        const length = i < used ? this.#out[2 * i + 1]! : -1;
        if (length <= 0) {
          this.pool.release(packet);
          continue;
        }
        packet.length = length;
        this.packetsRead++;
        receive(packet, SOURCES[this.#out[2 * i]!]!, now);
      }
      if (this.#outgoing.length > 0) this.#flush();
      if (used < packets.length) return;
    }
  }

  #acquire(): PacketBuffer[] {
    const packets: PacketBuffer[] = [];
    while (packets.length < BATCH) {
      const packet = this.pool.acquire();
      if (packet === undefined) break;
      this.#offsets[packets.length] = packet.start;
      packets.push(packet);
    }
    return packets;
  }

  #queue(index: number, packet: PacketBuffer): void {
    this.#outgoing.push({ index, packet });
    if (this.#outgoing.length >= BATCH) this.#flush();
    else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
  }

  #flush(): void {
    this.#flushing = false;
    while (this.#outgoing.length > 0) {
      const batch = this.#outgoing.splice(0, BATCH);
      for (const [i, { index, packet }] of batch.entries()) {
        this.#descriptors[3 * i] = index;
        this.#descriptors[3 * i + 1] = packet.start;
        this.#descriptors[3 * i + 2] = packet.length;
      }
      const accepted = this.#reactor.writeBatch(this.pool.arena, this.#descriptors, batch.length, this.#results);
      this.packetsWritten += accepted;
      this.writeErrors += batch.length - accepted;
      for (const { packet } of batch) this.pool.release(packet);
    }
  }
}
