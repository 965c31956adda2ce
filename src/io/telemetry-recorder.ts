/** The ground's telemetry recorder: UDP in, log on disk, gaps and duplicates counted. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { GapTracker, parseSpacePackets, timeOf } from '../apps/telemetry/index.ts';
import { Counters, OmniError, type WallTime } from '../core/index.ts';
import { readTelemetryLog, TelemetryLog } from './telemetry-log.ts';

/** Asked of the kernel; it gives what net.core.rmem_max allows. Ten thousand packets a second fill 200 kB in 25 ms. */
const RECEIVE_BUFFER_OCTETS = 8 * 1024 * 1024;

/** At its start it takes gaps and duplicates from this many newest segments; older ones are history. */
const RECOVERED_SEGMENTS = 4;

export interface RecorderOptions {
  readonly address: string;
  readonly port: number;
  readonly group: string | undefined;
  readonly directory: string;
  readonly segmentOctets: number;
  readonly clock: { now(): WallTime };
  /** After each commit: how many packets are stored by now. */
  readonly onStored?: (stored: number) => void;
}

export class TelemetryRecorder {
  readonly counters = new Counters();
  readonly gaps = new GapTracker();
  readonly log: TelemetryLog;
  readonly #socket: Socket;
  readonly #clock: { now(): WallTime };

  private constructor(options: RecorderOptions, socket: Socket) {
    this.#clock = options.clock;
    this.#socket = socket;
    // The log is opened first, so that its torn end is cut before it is read.
    this.log = new TelemetryLog(options.directory, {
      segmentOctets: options.segmentOctets,
      onStored: () => options.onStored?.(this.log.stored),
    });
    for (const record of readTelemetryLog(options.directory, RECOVERED_SEGMENTS)) this.#note(record.octets);
    this.counters.add('recovered', this.counters.get('packets'));
    socket.on('message', (datagram) => this.#receive(datagram));
    socket.on('error', () => this.counters.add('socketError'));
  }

  /** Throws OmniError when the socket or the directory cannot be had. */
  static async start(options: RecorderOptions): Promise<TelemetryRecorder> {
    const { address, port, group } = options;
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', reuseAddr: group !== undefined });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (cause) =>
        reject(
          new OmniError(
            'OMNI_TELEMETRY_LISTEN',
            `cannot receive telemetry on ${address} port ${port}: ${cause.message}`,
            { cause },
          ),
        ),
      );
      socket.bind(port, address, () => resolve());
    });
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER_OCTETS);
      if (group !== undefined) joinEverywhere(socket, group);
      return new TelemetryRecorder(options, socket);
    } catch (cause) {
      socket.close();
      throw cause;
    }
  }

  address(): { address: string; port: number } {
    return this.#socket.address();
  }

  status(): Record<string, unknown> {
    return {
      listening: this.address(),
      stored: this.log.stored,
      waiting: this.log.appended - this.log.stored,
      missingPackets: this.gaps.missingPackets,
      openGaps: this.gaps.gaps().length,
      counters: this.counters.snapshot(),
    };
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
    await this.log.close();
  }

  #receive(datagram: Buffer): void {
    const receivedAt = this.#clock.now();
    const parsed = parseSpacePackets(datagram);
    if (!parsed.ok) {
      this.counters.add(`drop.${parsed.reason}`);
      return;
    }
    for (const { packet, octets } of parsed.value) {
      if (packet.type !== 'telemetry') {
        this.counters.add('drop.telecommand');
        continue;
      }
      const arrival = this.#note(octets);
      if (arrival === 'duplicate') continue;
      if (!this.log.append({ receivedAt, replay: arrival === 'fill' || arrival === 'late', octets }))
        this.counters.add('drop.disk');
    }
  }

  /** Counts a packet and keeps the gaps up to date. */
  #note(octets: Uint8Array): ReturnType<GapTracker['add']> {
    const parsed = parseSpacePackets(octets);
    if (!parsed.ok) return 'duplicate';
    const { packet } = parsed.value[0]!;
    const arrival = this.gaps.add(packet.apid, packet.sequenceCount, timeOf(packet) ?? (0n as WallTime));
    this.counters.add('packets');
    this.counters.add(`arrival.${arrival}`);
    return arrival;
  }
}

/** On every interface: a ground station has no route that would say by which one telemetry comes. Throws when none takes it. */
function joinEverywhere(socket: Socket, group: string): void {
  const six = isIPv6(group);
  const interfaces = Object.entries(networkInterfaces()).flatMap(([name, addresses]) => {
    const own = addresses?.find(({ family }) => (family === 'IPv6') === six);
    return own === undefined ? [] : [six ? `::%${name}` : own.address];
  });
  const failures: unknown[] = [];
  for (const each of interfaces)
    try {
      socket.addMembership(group, each);
    } catch (error) {
      failures.push(error);
    }
  if (failures.length === interfaces.length)
    throw new OmniError('OMNI_TELEMETRY_LISTEN', `cannot join the multicast group ${group}`, { cause: failures[0] });
}
