/** The NTP server's socket. Timestamps are taken first thing in the receive callback and last thing before the send. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { NtpServer, type NtpServerOptions, type SystemVariables, toNtpTimestamp } from '../apps/ntp/index.ts';
import { type Instant, OmniError, type WallTime } from '../core/index.ts';

export interface ServerClock {
  instant(): Instant;
  now(): WallTime;
}

export class NtpServerSocket {
  readonly server: NtpServer;
  readonly #socket: Socket;

  private constructor(socket: Socket, server: NtpServer) {
    this.#socket = socket;
    this.server = server;
  }

  /** Throws OmniError OMNI_NTP_LISTEN when the address cannot be bound. */
  static async listen(
    options: NtpServerOptions & {
      address: string;
      port: number;
      clock: ServerClock;
      system: (now: Instant) => SystemVariables;
    },
  ): Promise<NtpServerSocket> {
    const { address, port, clock, system } = options;
    const server = new NtpServer(options);
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', reuseAddr: false });
    socket.on('message', (octets: Buffer, from: RemoteInfo) => {
      const receivedAt = toNtpTimestamp(clock.now());
      const now = clock.instant();
      const reply = server.answer(octets, system(now), {
        source: from.address,
        receivedAt,
        transmitAt: () => toNtpTimestamp(clock.now()),
        now,
      });
      if (reply !== undefined)
        socket.send(reply, from.port, from.address, (error) => {
          if (error !== null) server.counters.add('sendFailed');
        });
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (cause) =>
        reject(
          new OmniError('OMNI_NTP_LISTEN', `cannot answer NTP on ${address} port ${port}: ${cause.message}`, {
            cause,
            remedy:
              (cause as NodeJS.ErrnoException).code === 'EACCES'
                ? 'ports below 1024 need root; choose another with --listen ADDRESS:PORT.'
                : 'is another NTP server running there?',
          }),
        ),
      );
      socket.bind(port, address, () => resolve());
    });
    socket.on('error', () => server.counters.add('socketError'));
    return new NtpServerSocket(socket, server);
  }

  address(): { address: string; port: number } {
    return this.#socket.address();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
