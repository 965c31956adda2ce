/**
 * The spacecraft's telemetry source: makes each packet at its own interval, sends it during contacts, keeps it in a bounded onboard
 * store otherwise, and sends the store after acquisition of signal at a low rate beside the live packets. One way only: nothing is
 * ever awaited from the ground. What was made within the guard time of a contact's edge is both sent and kept, since the plan
 * may be a little off; the ground removes the duplicates.
 *
 * The store is a ring of octets: what was sent stays until it is overwritten, so that a command can have it sent again. Its changes
 * come out of `pollStore`, for whoever keeps them on disk; a machine that is given them again goes on where that one ended, sequence
 * counts too (CCSDS 133.0-B-2 §4.1.3.4.3: a count is not reset before it has wrapped around).
 */
import {
  type Deadline,
  type Duration,
  type Instant,
  plus,
  seconds,
  TimerTable,
  type WallTime,
} from '../../core/index.ts';
import type { DownlinkSettings } from './config.ts';
import type { Dictionary, PacketDefinition } from './dictionary.ts';
import type { Value } from './fields.ts';
import { encodeTelemetry, timeOf } from './packets.ts';
import { parseSpacePacket, SEQUENCE_MODULUS } from './space-packet.ts';

/** What the machine asks of its node. */
export interface DownlinkPort {
  /** The spacecraft clock. */
  time(now: Instant): WallTime;
  /** The values of a packet; undefined when that subsystem is not there, and then no packet is made. */
  read(packet: string): Readonly<Record<string, Value | undefined>> | undefined;
}

export type DownlinkInput =
  | { readonly kind: 'contact'; readonly up: boolean }
  /** A packet that is made by an event, e.g. a verification report. */
  | { readonly kind: 'packet'; readonly name: string; readonly values: Readonly<Record<string, Value | undefined>> }
  | { readonly kind: 'interval'; readonly apid: number; readonly seconds: number }
  | { readonly kind: 'replay'; readonly seconds: number };

export interface DownlinkTransmit {
  /** One or more whole packets. */
  readonly octets: Uint8Array;
  /** From the store: belongs in a class of low priority. */
  readonly replay: boolean;
}

export interface StoredPacket {
  readonly octets: Uint8Array;
  /** Counts up by one with every packet. */
  readonly order: number;
  /** Whether it is still to be sent from the store. */
  readonly waiting: boolean;
}

/** All that must survive the process. */
export interface DownlinkState {
  /** By APID, the sequence count of its next packet. */
  readonly counts: ReadonlyMap<number, number>;
  /** In order. */
  readonly packets: readonly StoredPacket[];
}

/** A packet came into the store, or its `waiting` changed. What the ring overwrites is not told: the size says it. */
export type StoreChange =
  | { readonly kind: 'kept'; readonly packet: StoredPacket }
  | { readonly kind: 'marked'; readonly order: number; readonly waiting: boolean };

interface Kept {
  readonly octets: Uint8Array;
  readonly madeAt: Instant;
  readonly order: number;
  /** When it was last sent. */
  sentAt: Instant | undefined;
}

export class Downlink {
  readonly #dictionary: Dictionary;
  readonly #settings: DownlinkSettings;
  readonly #port: DownlinkPort;
  readonly #timers = new TimerTable<string>();
  readonly #counts = new Map<number, number>();
  readonly #intervals = new Map<number, Duration>();
  readonly #out: DownlinkTransmit[] = [];
  readonly #changes: StoreChange[] = [];
  #kept: Kept[] = [];
  #keptOctets = 0;
  #nextOrder = 0;
  /** Orders in the store that are to be sent from it. */
  readonly #wanted = new Set<number>();
  #overwritten = 0;
  #made = 0;
  #up: boolean;
  #edgeAt: Instant;

  constructor(options: {
    dictionary: Dictionary;
    settings: DownlinkSettings;
    port: DownlinkPort;
    now: Instant;
    up: boolean;
    /** What the machine before this one left. */
    state?: DownlinkState | undefined;
  }) {
    this.#dictionary = options.dictionary;
    this.#settings = options.settings;
    this.#port = options.port;
    this.#up = options.up;
    this.#edgeAt = options.now;
    for (const { name, apid } of options.dictionary.packets)
      this.#setInterval(apid, options.settings.intervalSeconds[name] ?? 0, options.now);
    if (options.state !== undefined) this.#restore(options.state, options.now);
    if (options.up) this.#timers.set('dump', options.now);
  }

  handleInput(input: DownlinkInput, now: Instant): void {
    switch (input.kind) {
      case 'contact':
        if (input.up === this.#up) return;
        this.#up = input.up;
        this.#edgeAt = now;
        if (input.up) this.#timers.set('dump', now);
        else {
          this.#timers.clear('dump');
          this.#keepRecent(now);
        }
        break;
      case 'packet': {
        const definition = this.#dictionary.packets.find((p) => p.name === input.name);
        if (definition !== undefined) this.#make(definition, input.values, now);
        break;
      }
      case 'interval':
        this.#setInterval(input.apid, input.seconds, now);
        break;
      case 'replay': {
        const from = now - seconds(input.seconds);
        for (const kept of this.#kept) if (kept.madeAt >= from) this.#mark(kept.order, true);
        if (this.#up) this.#timers.set('dump', now);
        break;
      }
    }
  }

  handleTimeout(now: Instant): void {
    for (let name = this.#timers.expired(now); name !== undefined; name = this.#timers.expired(now)) {
      if (name === 'dump') {
        this.#dump(now);
        continue;
      }
      const definition = this.#dictionary.packets.find((p) => p.name === name)!;
      const values = this.#port.read(definition.name);
      if (values !== undefined) this.#make(definition, values, now);
      const interval = this.#intervals.get(definition.apid);
      if (interval !== undefined) this.#timers.setAfter(name, now, interval);
    }
  }

  pollTransmit(): DownlinkTransmit | undefined {
    return this.#out.shift();
  }
  /** To be drained after every call, like `pollTransmit`. */
  pollStore(): StoreChange | undefined {
    return this.#changes.shift();
  }
  pollTimeout(): Deadline | undefined {
    return this.#timers.next();
  }

  state(): DownlinkState {
    const packets = this.#kept.map(({ octets, order }) => ({ octets, order, waiting: this.#wanted.has(order) }));
    return { counts: this.#counts, packets };
  }

  status(): { madePackets: number; storedPackets: number; storedOctets: number; overwrittenPackets: number } {
    const waiting = this.#waiting();
    return {
      madePackets: this.#made,
      storedPackets: waiting.length,
      storedOctets: waiting.reduce((sum, k) => sum + k.octets.length, 0),
      overwrittenPackets: this.#overwritten,
    };
  }

  #setInterval(apid: number, intervalSeconds: number, now: Instant): void {
    const definition = this.#dictionary.packets.find((p) => p.apid === apid);
    if (definition === undefined) return;
    if (intervalSeconds > 0) {
      this.#intervals.set(apid, seconds(intervalSeconds));
      this.#timers.setAfter(definition.name, now, seconds(intervalSeconds));
    } else {
      this.#intervals.delete(apid);
      this.#timers.clear(definition.name);
    }
  }

  #make(definition: PacketDefinition, values: Readonly<Record<string, Value | undefined>>, now: Instant): void {
    const count = this.#counts.get(definition.apid) ?? 0;
    this.#counts.set(definition.apid, (count + 1) % SEQUENCE_MODULUS);
    const octets = encodeTelemetry(definition, count, this.#port.time(now), values);
    this.#made++;
    if (this.#up) this.#out.push({ octets, replay: false });
    const nearAcquisition = this.#up && now - this.#edgeAt < seconds(this.#settings.guardSeconds);
    // What was sent needs no dump, but stays for a replay; what nobody heard waits for one.
    this.#keep(
      { octets, madeAt: now, order: this.#nextOrder++, sentAt: this.#up ? now : undefined },
      !this.#up || nearAcquisition,
    );
  }

  #restore(state: DownlinkState, now: Instant): void {
    for (const [apid, count] of state.counts) this.#counts.set(apid, count);
    const time = this.#port.time(now);
    for (const { octets, order, waiting } of state.packets) {
      const parsed = parseSpacePacket(octets);
      const made = parsed.ok ? timeOf(parsed.value.packet) : undefined;
      // The clock may have been stepped since; it is all that is known.
      const madeAt = (now - Number(time - (made ?? time))) as Instant;
      this.#store({ octets, madeAt, order, sentAt: undefined }, waiting);
      this.#nextOrder = order + 1;
    }
  }

  #keep(kept: Kept, dump: boolean): void {
    this.#changes.push({ kind: 'kept', packet: { octets: kept.octets, order: kept.order, waiting: dump } });
    this.#store(kept, dump);
  }

  #mark(order: number, waiting: boolean): void {
    if (this.#wanted.has(order) === waiting) return;
    if (waiting) this.#wanted.add(order);
    else this.#wanted.delete(order);
    this.#changes.push({ kind: 'marked', order, waiting });
  }

  #store(kept: Kept, dump: boolean): void {
    this.#kept.push(kept);
    this.#keptOctets += kept.octets.length;
    if (dump) this.#wanted.add(kept.order);
    while (this.#keptOctets > this.#settings.storeOctets && this.#kept.length > 0) {
      const oldest = this.#kept.shift()!;
      this.#keptOctets -= oldest.octets.length;
      if (this.#wanted.delete(oldest.order)) this.#overwritten++;
    }
  }

  /** At loss of signal: what was sent just before it may not have got through. */
  #keepRecent(now: Instant): void {
    const from = now - seconds(this.#settings.guardSeconds);
    for (const kept of this.#kept) if (kept.sentAt !== undefined && kept.sentAt >= from) this.#mark(kept.order, true);
  }

  #waiting(): Kept[] {
    return this.#kept.filter((k) => this.#wanted.has(k.order));
  }

  /** One datagram from the store, as full as settings allow, then a pause that keeps the dump to its rate. */
  #dump(now: Instant): void {
    const waiting = this.#waiting();
    if (waiting.length === 0) return;
    const packets: Uint8Array[] = [];
    let length = 0;
    for (const kept of waiting) {
      if (length > 0 && length + kept.octets.length > this.#settings.datagramOctets) break;
      packets.push(kept.octets);
      length += kept.octets.length;
      this.#mark(kept.order, false);
      kept.sentAt = now;
    }
    const octets = new Uint8Array(length);
    let at = 0;
    for (const packet of packets) {
      octets.set(packet, at);
      at += packet.length;
    }
    this.#out.push({ octets, replay: true });
    this.#timers.set('dump', plus(now, seconds((length * 8) / this.#settings.dumpBitPerSec)));
  }
}
