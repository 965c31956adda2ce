/** Drives an NtpClient: a fresh socket on a random port for each request (RFC 9109), gone when its reply came or the next begins. */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { NtpClient, NtpClientEvent, NtpClientInput } from '../apps/ntp/index.ts';
import type { Instant } from '../core/index.ts';

interface DriverOptions {
  readonly host: string;
  readonly port: number;
  readonly instant: () => Instant;
  readonly onEvent?: (event: NtpClientEvent) => void;
}

export class NtpClientDriver {
  readonly client: NtpClient;
  readonly #options: DriverOptions;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** The server's IPv4 address as a reference identifier (RFC 5905 §7.3), once known. */
  serverAddress: number | undefined;

  constructor(client: NtpClient, options: DriverOptions) {
    this.client = client;
    this.#options = options;
    this.#drain();
  }

  input(input: NtpClientInput): void {
    if (this.#closed) return;
    this.client.handleInput(input, this.#options.instant());
    this.#drain();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#closeSocket();
  }

  #drain(): void {
    for (let out = this.client.pollTransmit(); out !== undefined; out = this.client.pollTransmit())
      void this.#send(out);
    for (let event = this.client.pollEvent(); event !== undefined; event = this.client.pollEvent())
      this.#options.onEvent?.(event);
    clearTimeout(this.#timer);
    const deadline = this.client.pollTimeout();
    if (deadline === undefined || this.#closed) return;
    const wait = Math.max(0, Math.min(2 ** 31 - 1, (deadline.at - this.#options.instant()) / 1e6));
    this.#timer = setTimeout(() => {
      this.client.handleTimeout(this.#options.instant());
      this.#drain();
    }, wait);
  }

  async #send(octets: Uint8Array): Promise<void> {
    this.#closeSocket();
    try {
      const { address } = await lookup(this.#options.host);
      if (!isIPv6(address))
        this.serverAddress = address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
      if (this.#closed) return;
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
      this.#socket = socket;
      socket.on('error', () => this.#lost(socket));
      socket.on('message', (reply) => {
        if (socket === this.#socket) this.input({ kind: 'reply', octets: reply });
      });
      socket.connect(this.#options.port, address, () => {
        if (socket !== this.#socket) return;
        // T1 is read after name and socket are ready, right before the datagram goes to the kernel.
        this.client.handleInput({ kind: 'sent' }, this.#options.instant());
        socket.send(octets, (error) => {
          if (error !== null) this.#lost(socket);
        });
      });
    } catch {
      this.client.counters.add('sendFailed');
    }
  }

  #lost(socket: Socket): void {
    this.client.counters.add('sendFailed');
    if (socket === this.#socket) this.#closeSocket();
  }

  #closeSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close();
    } catch {
      // Closed already by an error of its own.
    }
  }
}
