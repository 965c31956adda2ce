/**
 * The command receiver's sockets: blind commands in UDP, reliable ones in TCP, where stage reports go back as telemetry packets
 * (APID of `verification`). A TCP stream is telecommands one behind the other; what cannot be one ends the connection.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import {
  CommandReceiver,
  LARGEST_COMMAND_OCTETS,
  type ReceiverEvent,
  type ReceiverOptions,
  type ReceiverState,
  type StageReport,
} from '../apps/command/index.ts';
import { encodeTelemetry, PRIMARY_HEADER_OCTETS, SEQUENCE_MODULUS, SPACECRAFT } from '../apps/telemetry/index.ts';
import { type Instant, OmniError, type WallTime } from '../core/index.ts';
import { DurableDocument } from './command-store.ts';

const CONNECTIONS = 16;
const IDLE_MS = 300_000;
const VERIFICATION = SPACECRAFT.packets.find((p) => p.name === 'verification')!;

export interface CommandReceiverOptions extends Omit<ReceiverOptions, 'now' | 'state' | 'time'> {
  readonly address: string;
  readonly port: number;
  readonly stateFile: string;
  readonly instant: () => Instant;
  readonly wall: () => WallTime;
  /** Carries a command out; resolves with what was done, rejects with why not. */
  readonly execute: (event: Extract<ReceiverEvent, { kind: 'execute' }>) => Promise<string>;
  readonly onReport: (report: StageReport) => void;
  readonly log: (line: string) => void;
}

export class CommandReceiverSocket {
  readonly receiver: CommandReceiver;
  readonly #options: CommandReceiverOptions;
  readonly #document: DurableDocument<ReceiverState>;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Map<number, Socket>();
  #nextConnection = 1;
  #verificationCount = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: CommandReceiverOptions, udp: UdpSocket, tcp: Server) {
    this.#options = options;
    this.#udp = udp;
    this.#tcp = tcp;
    this.#document = new DurableDocument(options.stateFile);
    const state = this.#document.read();
    this.receiver = new CommandReceiver({
      ...options,
      time: () => options.wall(),
      now: options.instant(),
      ...(state !== undefined && { state }),
    });
    udp.on('message', (octets) => this.submit(octets));
    udp.on('error', () => this.receiver.counters.add('socketError'));
    tcp.on('connection', (socket) => this.#connected(socket));
    this.#drain();
  }

  /** Throws OmniError when an address cannot be had or the saved state is damaged. */
  static async start(options: CommandReceiverOptions): Promise<CommandReceiverSocket> {
    const { address, port } = options;
    const tcp = createServer();
    tcp.maxConnections = CONNECTIONS;
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const refused = (cause: Error) =>
      new OmniError('OMNI_COMMAND_LISTEN', `cannot receive commands on ${address} port ${port}: ${cause.message}`, {
        cause,
      });
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', (cause) => reject(refused(cause)));
      tcp.listen(port, address, resolve);
    });
    // With port 0 both get the one that TCP was given.
    const chosen = (tcp.address() as { port: number }).port;
    try {
      await new Promise<void>((resolve, reject) => {
        udp.once('error', (cause) => reject(refused(cause)));
        udp.bind(chosen, address, () => resolve());
      });
      return new CommandReceiverSocket(options, udp, tcp);
    } catch (error) {
      tcp.close();
      udp.close();
      throw error;
    }
  }

  address(): { address: string; port: number } {
    return this.#udp.address();
  }

  /** One telecommand, from wherever. `executeAt`: when it names no time itself. */
  submit(octets: Uint8Array, via?: number, executeAt?: WallTime): void {
    if (this.#closed) return;
    const packet = {
      kind: 'packet',
      octets,
      ...(via !== undefined && { via }),
      ...(executeAt !== undefined && { executeAt }),
    } as const;
    this.receiver.handleInput(packet, this.#options.instant());
    this.#drain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const socket of this.#connections.values()) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
    ]);
  }

  #drain(): void {
    const { instant } = this.#options;
    for (let event = this.receiver.pollEvent(); event !== undefined; event = this.receiver.pollEvent())
      this.#handle(event);
    clearTimeout(this.#timer);
    const deadline = this.receiver.pollTimeout();
    if (deadline === undefined || this.#closed) return;
    this.#timer = setTimeout(
      () => {
        this.receiver.handleTimeout(instant());
        this.#drain();
      },
      Math.max(0, (deadline.at - instant()) / 1e6),
    );
  }

  #handle(event: ReceiverEvent): void {
    const { instant, log } = this.#options;
    switch (event.kind) {
      case 'save':
        this.#document.write(event.state).then(
          () => {
            if (this.#closed) return;
            this.receiver.handleInput({ kind: 'saved', version: event.version }, instant());
            this.#drain();
          },
          (error: Error) => log(`command state not saved: ${error.message}`),
        );
        break;
      case 'execute':
        void this.#execute(event);
        break;
      case 'report':
        log(
          `command stage=${event.report.stage} key=${event.report.keyId} counter=${event.report.counter} opcode=${event.report.opcode} detail=${JSON.stringify(event.report.detail)}`,
        );
        this.#options.onReport(event.report);
        if (event.via !== undefined) this.#answer(event.via, event.report);
        break;
    }
  }

  async #execute(event: Extract<ReceiverEvent, { kind: 'execute' }>): Promise<void> {
    const outcome = await this.#options.execute(event).then(
      (detail) => ({ ok: true, detail }),
      (error: Error) => ({ ok: false, detail: error.message }),
    );
    if (this.#closed) return;
    this.receiver.handleInput({ kind: 'done', execution: event.execution, ...outcome }, this.#options.instant());
    this.#drain();
  }

  #answer(via: number, report: StageReport): void {
    const socket = this.#connections.get(via);
    if (socket === undefined || !socket.writable) return;
    socket.write(encodeTelemetry(VERIFICATION, this.#verificationCount, this.#options.wall(), { ...report }));
    this.#verificationCount = (this.#verificationCount + 1) % SEQUENCE_MODULUS;
  }

  #connected(socket: Socket): void {
    const id = this.#nextConnection++;
    this.#connections.set(id, socket);
    let rest = Buffer.alloc(0);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(id));
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= PRIMARY_HEADER_OCTETS) {
        const length = PRIMARY_HEADER_OCTETS + rest.readUInt16BE(4) + 1;
        if (length > LARGEST_COMMAND_OCTETS) {
          this.submit(rest.subarray(0, LARGEST_COMMAND_OCTETS + 1), id);
          this.receiver.counters.add('connectionRefused');
          socket.destroy();
          return;
        }
        if (rest.length < length) return;
        this.submit(Uint8Array.from(rest.subarray(0, length)), id);
        rest = rest.subarray(length);
      }
    });
  }
}
