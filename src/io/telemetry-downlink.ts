/**
 * Drives a Downlink: its packets go out in UDP, unicast or multicast; nothing comes back. What comes from the store leaves by a port of
 * its own (11022), by which routers put it behind live telemetry. The store's changes go to disk as they happen.
 */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Downlink, DownlinkInput, StoreChange } from '../apps/telemetry/index.ts';
import { Counters, type Instant } from '../core/index.ts';
import { PORT } from '../ip/index.ts';
import type { TelemetryStoreFile } from './telemetry-store.ts';

interface DriverOptions {
  readonly host: string;
  readonly port: number;
  readonly multicastHops: number;
  readonly instant: () => Instant;
  readonly store?: TelemetryStoreFile;
}

export class DownlinkDriver {
  readonly downlink: Downlink;
  readonly counters = new Counters();
  readonly #options: DriverOptions;
  readonly #socket: Socket;
  readonly #dumpSocket: Socket;
  readonly #address: string;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(
    downlink: Downlink,
    sockets: { live: Socket; dump: Socket },
    address: string,
    options: DriverOptions,
  ) {
    this.downlink = downlink;
    this.#socket = sockets.live;
    this.#dumpSocket = sockets.dump;
    this.#address = address;
    this.#options = options;
    this.#drain();
  }

  static async start(downlink: Downlink, options: DriverOptions): Promise<DownlinkDriver> {
    const { address } = await lookup(options.host);
    const type = isIPv6(address) ? 'udp6' : 'udp4';
    const live = await bound(type, 0);
    // Outside a namespace another node's downlink may have it; then the dump is not told from live packets.
    const dump = await bound(type, PORT.telemetryDump).catch(() => bound(type, 0));
    for (const socket of [live, dump]) socket.setMulticastTTL(options.multicastHops);
    const driver = new DownlinkDriver(downlink, { live, dump }, address, options);
    for (const socket of [live, dump]) socket.on('error', () => driver.counters.add('sendFailed'));
    return driver;
  }

  input(input: DownlinkInput): void {
    if (this.#closed) return;
    this.downlink.handleInput(input, this.#options.instant());
    this.#drain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all(
      [this.#socket, this.#dumpSocket].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
    );
    this.#options.store?.close();
  }

  #drain(): void {
    for (let out = this.downlink.pollTransmit(); out !== undefined; out = this.downlink.pollTransmit()) {
      this.counters.add(out.replay ? 'replayDatagrams' : 'liveDatagrams');
      (out.replay ? this.#dumpSocket : this.#socket).send(out.octets, this.#options.port, this.#address, (error) => {
        if (error !== null) this.counters.add('sendFailed');
      });
    }
    this.#keep();
    clearTimeout(this.#timer);
    const deadline = this.downlink.pollTimeout();
    if (deadline === undefined || this.#closed) return;
    this.#timer = setTimeout(
      () => {
        this.downlink.handleTimeout(this.#options.instant());
        this.#drain();
      },
      Math.max(0, Math.min(2 ** 31 - 1, (deadline.at - this.#options.instant()) / 1e6)),
    );
  }

  /** A store that cannot be written stays in memory; telemetry goes on. */
  #keep(): void {
    const { store } = this.#options;
    const changes: StoreChange[] = [];
    for (let change = this.downlink.pollStore(); change !== undefined; change = this.downlink.pollStore())
      changes.push(change);
    try {
      store?.append(changes, () => this.downlink.state());
    } catch {
      this.counters.add('storeNotWritten');
    }
  }
}

async function bound(type: 'udp4' | 'udp6', port: number): Promise<Socket> {
  const socket = createSocket(type);
  await new Promise<void>((resolve, reject) => {
    const refused = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', refused);
    socket.bind(port, () => {
      socket.off('error', refused);
      resolve();
    });
  });
  return socket;
}
