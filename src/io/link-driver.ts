/**
 * Runs the routers and lines of a testbed: the one place where packets enter from TUN devices, deadlines pass and packets leave.
 *
 *   TUN → read batch → router → its output queue → line (clocked by its bit rate) → router → TUN write batch
 *
 * One wake-up of the event loop handles everything that is ready or due. The time handed to the machines is the instant at
 * which a thing was due where that is known (an arrival), so that a late wake-up delays what it delays and nothing after it;
 * how late it was goes into the lateness histogram.
 */
import type { Line } from '../channel/index.ts';
import {
  Counters,
  DeadlineHeap,
  type Instant,
  Lateness,
  type LinkDirection,
  type LinkTap,
  NEVER,
  type PacketBuffer,
  type PacketPool,
} from '../core/index.ts';
import { acceptOffloaded, describeOffloaded, VIRTIO_HEADER_OCTETS } from '../ip/index.ts';
import type { Router } from '../router/index.ts';
import type { Reactor, ReactorSource } from './native.ts';

const READ_BATCH = 64;
const WRITE_BATCH = 256;
/** Reads of one wake-up before the event loop gets its turn again. */
const ROUNDS_PER_WAKE = 8;
/** Longest time before a deadline that is spent spinning instead of sleeping, nanoseconds. */
const LONGEST_SPIN = 60_000;
/** How far one wake-up moves the estimate of the wake-up latency, nanoseconds. */
const LATENCY_STEP = 500;
/** A router that is to look at its old packets within this time is not asked whether it should do so earlier, nanoseconds. */
const ROUTER_TOLERANCE = 50_000_000;

export interface NodeOptions {
  readonly name: string;
  readonly router: Router;
  /** The router's interface that is the TUN; −1 when the node has none. */
  readonly host: number;
  readonly tunFd: number;
}

interface Node extends NodeOptions {
  readonly index: number;
  /** Router interface → the span that drains it, −1 for none. */
  readonly spanOf: number[];
  now: Instant;
  touched: boolean;
}

/** One direction of a link: a line from one node's interface to another's. */
export interface SpanOptions {
  readonly line: Line;
  readonly from: number;
  readonly fromInterface: number;
  readonly to: number;
  readonly toInterface: number;
  readonly link: number;
  readonly direction: LinkDirection;
  /** Changes octets of a packet that came out of the line, before the router gets it (NTP's correction). */
  readonly rewrite?: ((packet: PacketBuffer) => void) | undefined;
}

interface Span extends SpanOptions {
  up: boolean;
}

export class LinkDriver {
  readonly lateness = new Lateness();
  readonly counters = new Counters();
  readonly #native: ReactorSource;
  /** Octets of the offload header in front of every packet of a TUN; 0 without offloads. */
  readonly #header: number;
  readonly #pool: PacketPool;
  readonly #tap: LinkTap | undefined;
  readonly #nodes: Node[] = [];
  readonly #spans: Span[] = [];
  readonly #touched: Node[] = [];
  /** Spans first, then nodes. */
  #heap = new DeadlineHeap(0);
  #reactor: Reactor | undefined;
  #origin = 0;
  /** The median time from when the timer was due to when we ran: what a wake-up costs on this machine, now. */
  #wakeLatency: number;
  readonly #longestSpin: number;
  /** What the timer is set to, 0 when it is off; and when the last wake-up ended. */
  #armed = 0;
  #sleptFrom = 0 as Instant;
  /** Slots that the next read may fill. */
  readonly #readSlots: PacketBuffer[] = [];
  readonly #readOffsets = new Int32Array(READ_BATCH);
  readonly #readResults = new Int32Array(2 * READ_BATCH);
  readonly #writes: PacketBuffer[] = [];
  readonly #writeDescriptors = new Int32Array(3 * WRITE_BATCH);
  readonly #writeResults = new Int32Array(WRITE_BATCH);

  /** @param options.offloads the TUNs were opened with `vnetHeader`; then the pool's slots must hold 65,535 octets. */
  constructor(options: { native: ReactorSource; pool: PacketPool; tap?: LinkTap | undefined; offloads?: boolean }) {
    this.#native = options.native;
    this.#longestSpin = options.native.virtualTime === true ? 0 : LONGEST_SPIN;
    this.#wakeLatency = this.#longestSpin / 2;
    this.#header = options.offloads === true ? VIRTIO_HEADER_OCTETS : 0;
    this.#pool = options.pool;
    this.#tap = options.tap;
  }

  /** All nodes and spans are added before `start`. Returns the node's index. */
  addNode(options: NodeOptions): number {
    const spanOf = options.router.interfaces.map(() => -1);
    const index = this.#nodes.length;
    this.#nodes.push({ ...options, index, spanOf, now: 0 as Instant, touched: false });
    return index;
  }

  addSpan(options: SpanOptions): void {
    this.#nodes[options.from]!.spanOf[options.fromInterface] = this.#spans.length;
    this.#spans.push({ ...options, up: options.line.isUp });
  }

  /** Nanoseconds since the start. */
  now(): Instant {
    return (this.#native.monotonicNanoseconds() - this.#origin) as Instant;
  }

  /** CLOCK_MONOTONIC at instant 0, nanoseconds. */
  get origin(): number {
    return this.#origin;
  }

  start(): void {
    this.#origin = this.#native.monotonicNanoseconds();
    this.#heap = new DeadlineHeap(this.#spans.length + this.#nodes.length);
    const reactor = this.#native.createReactor(() => this.#wake());
    this.#reactor = reactor;
    for (const node of this.#nodes) if (node.tunFd >= 0) reactor.addTun(node.tunFd, node.index);
    for (const [index, { line }] of this.#spans.entries()) this.#heap.set(index, line.nextDeadline());
    this.#arm();
  }

  stop(): void {
    this.#reactor?.close();
    this.#reactor = undefined;
  }

  /** Machines were changed from outside (a live setting, an injected packet): their deadlines may have moved. */
  reschedule(): void {
    if (this.#reactor === undefined) return;
    const now = this.now();
    for (const index of this.#spans.keys()) this.#runLine(index, now);
    for (const node of this.#nodes) this.#touch(node);
    this.#settle(now);
    this.#flushWrites(this.#reactor);
    this.#arm();
  }

  #wake(): void {
    const reactor = this.#reactor;
    if (reactor === undefined) return;
    const woke = this.now();
    if (reactor.timerExpired()) this.#learnLatency(woke);
    // What a TUN has for us came before we woke, by about what a wake-up takes; but not before we went to sleep.
    let entry = Math.max(this.#sleptFrom, woke - this.#wakeLatency) as Instant;
    for (let round = 0; round < ROUNDS_PER_WAKE; round++) {
      const now = this.now();
      this.#runDue(now);
      const more = this.#read(reactor, entry);
      this.#settle(now);
      this.#flushWrites(reactor);
      if (!more && !this.#spinToDeadline()) break;
      entry = this.now();
    }
    this.#sleptFrom = this.now();
    this.#arm();
  }

  /** The timer was set early by what a wake-up takes; the rest of the way is spun. False when there is nothing to wait for. */
  #spinToDeadline(): boolean {
    const { earliest } = this.#heap;
    if (earliest - this.now() > this.#wakeLatency) return false;
    while (this.now() < earliest);
    return true;
  }

  #learnLatency(woke: Instant): void {
    // Only a timer that was set for the future tells how long waking took.
    if (this.#armed <= this.#sleptFrom) return;
    const latency = woke - this.#armed;
    const step = latency > this.#wakeLatency ? LATENCY_STEP : -LATENCY_STEP;
    this.#wakeLatency = Math.min(this.#longestSpin, Math.max(0, this.#wakeLatency + step));
  }

  #runDue(now: Instant): void {
    const heap = this.#heap;
    while (heap.earliest <= now) {
      const item = heap.first;
      if (item < this.#spans.length) {
        this.lateness.add(now - heap.earliest);
        this.#runLine(item, now);
      } else {
        const node = this.#nodes[item - this.#spans.length]!;
        heap.set(item, NEVER);
        node.router.handleTimeout(now);
        this.#touch(node);
      }
      this.#settle(now);
    }
  }

  #runLine(index: number, now: Instant): void {
    const span = this.#spans[index]!;
    const { line } = span;
    line.handleTimeout(now);
    this.#deliver(span, now);
    if (line.isUp !== span.up) {
      span.up = line.isUp;
      const node = this.#nodes[span.from]!;
      node.router.setInterfaceState(span.fromInterface, span.up, now);
      this.#touch(node);
    }
    this.#heap.set(index, line.nextDeadline());
  }

  #deliver(span: Span, now: Instant): void {
    const to = this.#nodes[span.to]!;
    for (let packet = span.line.pollDelivered(); packet !== undefined; packet = span.line.pollDelivered()) {
      this.#tap?.packetOut(span.link, span.direction, packet, packet.arrivesAt);
      span.rewrite?.(packet);
      // A router's time never runs backwards, though arrivals of several lines are handled one line after the other.
      to.now = Math.min(now, Math.max(to.now, packet.arrivesAt)) as Instant;
      to.router.receive(packet, span.toInterface, to.now);
      this.#touch(to);
    }
  }

  /** Reads one batch from the TUNs that have something; true when there may be more. */
  #read(reactor: Reactor, now: Instant): boolean {
    const slots = this.#readSlots;
    while (slots.length < READ_BATCH) {
      const packet = this.#pool.acquire();
      if (packet === undefined) {
        this.counters.add('pool-empty');
        break;
      }
      this.#readOffsets[slots.length] = packet.start - this.#header;
      slots.push(packet);
    }
    const wanted = slots.length;
    if (wanted === 0) return false;
    const { arena, largestPacketOctets } = this.#pool;
    const room = largestPacketOctets + this.#header;
    const count = reactor.readBatch(arena, this.#readOffsets, wanted, room, this.#readResults);
    for (let i = 0; i < count; i++)
      this.#accept(slots[i]!, this.#readResults[2 * i]!, this.#readResults[2 * i + 1]!, now);
    slots.copyWithin(0, count);
    slots.length = wanted - count;
    this.#readOffsets.copyWithin(0, count, wanted);
    return count === wanted;
  }

  #accept(packet: PacketBuffer, index: number, length: number, now: Instant): void {
    if (length <= 0) {
      this.counters.add(length === this.#native.TRUNCATED ? 'read-truncated' : 'read-error');
      this.#pool.release(packet);
      return;
    }
    const node = this.#nodes[index]!;
    packet.length = length - this.#header;
    if (this.#header > 0) {
      const fault = packet.length > 0 ? acceptOffloaded(packet) : 'offload-header';
      if (fault !== undefined) {
        this.counters.add(fault);
        this.#pool.release(packet);
        return;
      }
    }
    node.now = now;
    node.router.receive(packet, node.host, now);
    this.#touch(node);
  }

  #touch(node: Node): void {
    if (node.touched) return;
    node.touched = true;
    this.#touched.push(node);
  }

  /** Lets every router that got something hand it on, until none has anything new. */
  #settle(now: Instant): void {
    for (let node = this.#touched.pop(); node !== undefined; node = this.#touched.pop()) {
      node.touched = false;
      const { router } = node;
      for (let ready = router.pollReady(); ready !== undefined; ready = router.pollReady()) {
        if (ready === node.host) this.#drainHost(node, now);
        else if (node.spanOf[ready]! >= 0) this.#kick(node.spanOf[ready]!, now);
      }
      const item = this.#spans.length + node.index;
      if (this.#heap.deadlineOf(item) > now + ROUTER_TOLERANCE) {
        const deadline = router.pollTimeout();
        if (deadline !== undefined) this.#heap.set(item, deadline.at);
      }
    }
  }

  #kick(index: number, now: Instant): void {
    const span = this.#spans[index]!;
    span.line.kick(now);
    this.#deliver(span, now);
    this.#heap.set(index, span.line.nextDeadline());
  }

  /** What is for the node's kernel goes out with the next batch of writes. */
  #drainHost(node: Node, now: Instant): void {
    const source = node.router.output(node.host);
    for (let packet = source.dequeue(now); packet !== undefined; packet = source.dequeue(now)) {
      const at = 3 * this.#writes.length;
      this.#writeDescriptors[at] = node.index;
      if (this.#header > 0) describeOffloaded(packet);
      this.#writeDescriptors[at + 1] = packet.start - this.#header;
      this.#writeDescriptors[at + 2] = packet.length + this.#header;
      this.#writes.push(packet);
      if (this.#writes.length === WRITE_BATCH && this.#reactor !== undefined) this.#flushWrites(this.#reactor);
    }
  }

  #flushWrites(reactor: Reactor): void {
    const writes = this.#writes;
    const count = writes.length;
    if (count === 0) return;
    const accepted = reactor.writeBatch(this.#pool.arena, this.#writeDescriptors, count, this.#writeResults);
    for (let i = 0; i < count; i++) {
      if (accepted < count && this.#writeResults[i] !== 0) this.counters.add(`write-error-${this.#writeResults[i]}`);
      this.#pool.release(writes[i]!);
    }
    writes.length = 0;
  }

  #arm(): void {
    const { earliest } = this.#heap;
    this.#armed = earliest === NEVER ? 0 : Math.max(0, earliest - this.#wakeLatency);
    this.#reactor?.setTimer(earliest === NEVER ? 0 : Math.max(1, this.#origin + this.#armed));
  }
}
