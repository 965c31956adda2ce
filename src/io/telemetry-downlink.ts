/** Drives a Downlink: its packets go out in UDP, unicast or multicast; nothing comes back. */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Downlink, DownlinkInput } from '../apps/telemetry/index.ts';
import { Counters, type Instant } from '../core/index.ts';

interface DriverOptions {
  readonly host: string;
  readonly port: number;
  readonly multicastHops: number;
  readonly instant: () => Instant;
}

export class DownlinkDriver {
  readonly downlink: Downlink;
  readonly counters = new Counters();
  readonly #options: DriverOptions;
  readonly #socket: Socket;
  readonly #address: string;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(downlink: Downlink, socket: Socket, address: string, options: DriverOptions) {
    this.downlink = downlink;
    this.#socket = socket;
    this.#address = address;
    this.#options = options;
    this.#drain();
  }

  static async start(downlink: Downlink, options: DriverOptions): Promise<DownlinkDriver> {
    const { address } = await lookup(options.host);
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, () => resolve());
    });
    socket.setMulticastTTL(options.multicastHops);
    const driver = new DownlinkDriver(downlink, socket, address, options);
    socket.on('error', () => driver.counters.add('sendFailed'));
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
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #drain(): void {
    for (let out = this.downlink.pollTransmit(); out !== undefined; out = this.downlink.pollTransmit()) {
      this.counters.add(out.replay ? 'replayDatagrams' : 'liveDatagrams');
      this.#socket.send(out.octets, this.#options.port, this.#address, (error) => {
        if (error !== null) this.counters.add('sendFailed');
      });
    }
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
}
