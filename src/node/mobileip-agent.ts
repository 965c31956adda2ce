/**
 * What the three Mobile IP services share in their lives: the machine on real time, its device, the kernel's routes, UDP port 434,
 * a history; the order in which these begin and end. A service adds what is its own.
 */
import { setPriority } from 'node:os';
import { type Instant, type Machine, NEVER } from '../core/index.ts';
import { MachineRunner } from '../io/machine-runner.ts';
import { DEVICE_NAME, type DeviceOptions, MobileIpDevice } from '../io/mobileip-device.ts';
import { MobileIpPorts } from '../io/mobileip-udp.ts';
import { loadNative, type Native } from '../io/native.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { UdpDatagram } from '../mobileip/index.ts';
import { History, KernelRoutes } from './mobileip-node.ts';
import type { ServiceContext } from './service.ts';

/** How long an ending agent waits for its last messages to leave. */
const LAST_WORDS_MILLISECONDS = 50;
const NICENESS = -10;

export interface AgentParts<Input, Transmit, Event> {
  readonly machine: Machine<Input, Transmit, Event> & { readonly counters: { snapshot(): Record<string, number> } };
  readonly sources: DeviceOptions['sources'];
  readonly udpInterface?: string;
  readonly receive: DeviceOptions['receive'];
  readonly describe: (event: Event) => string;
  /** Whether `omni mip --history` shows it; the log has them all. */
  readonly remember: (event: Event) => boolean;
  readonly onEvent: (event: Event) => void;
  readonly transmit: (transmit: Transmit) => void;
  /** Named in the log when it starts and ends. */
  readonly tunnelCounters: () => Record<string, number>;
}

export class AgentLife<Input, Transmit, Event> {
  readonly device: MobileIpDevice;
  readonly routes: KernelRoutes;
  readonly runner: MachineRunner<Input, Transmit, Event>;
  readonly native: Native;
  ports: MobileIpPorts | undefined;
  readonly #context: ServiceContext;
  readonly #parts: AgentParts<Input, Transmit, Event>;
  readonly #history: History;

  /** Opens the device: the first thing, because it is what fails without root. Throws OmniError OMNI_TUN_OPEN. */
  static async open<Input, Transmit, Event>(
    context: ServiceContext,
    parts: AgentParts<Input, Transmit, Event>,
  ): Promise<AgentLife<Input, Transmit, Event>> {
    const native = await loadNative();
    try {
      // Every packet of a tunnel passes here: next after the daemon, before programs that merely compute. `ip` inherits it.
      setPriority(NICENESS);
    } catch {
      // Not allowed to: then it waits its turn.
    }
    return new AgentLife(context, parts, native);
  }

  private constructor(context: ServiceContext, parts: AgentParts<Input, Transmit, Event>, native: Native) {
    this.#context = context;
    this.#parts = parts;
    this.native = native;
    const { sources, receive, udpInterface } = parts;
    const heard = udpInterface === undefined ? {} : { udpInterface };
    this.device = new MobileIpDevice({ native, sources, receive, ...heard });
    this.routes = new KernelRoutes((line) => context.log(line));
    this.#history = new History(() => context.clock.now());
    this.runner = new MachineRunner(
      parts.machine,
      () => this.device.now(),
      parts.transmit,
      (event) => {
        const text = parts.describe(event);
        context.log(text);
        if (parts.remember(event)) this.#history.add(text);
        parts.onEvent(event);
      },
    );
  }

  /**
   * Replaces the routes that a killed process left, and opens the ports.
   * @param before what must happen first, such as restoring bindings
   * @param tables of routes that are the agent's own
   */
  async start(options: {
    readonly mtuOctets: number;
    readonly before?: () => Promise<void> | void;
    readonly routes: () => readonly string[];
    readonly tables?: readonly number[];
    readonly addresses: readonly Ipv4Address[];
    readonly receive: (datagram: UdpDatagram) => void;
  }): Promise<MobileIpPorts> {
    try {
      await options.before?.();
      const device = `link set dev ${DEVICE_NAME} mtu ${options.mtuOctets} up`;
      await this.routes.start([device, ...options.routes()], options.tables ?? []);
      this.ports = await MobileIpPorts.open(options.addresses, options.receive);
      return this.ports;
    } catch (error) {
      this.device.close();
      throw error;
    }
  }

  /** Of every agent alike, for `omni status`. */
  status(): Record<string, unknown> {
    const { device } = this;
    return {
      messages: this.#parts.machine.counters.snapshot(),
      tunnel: this.#parts.tunnelCounters(),
      packets: {
        read: device.packetsRead,
        written: device.packetsWritten,
        writeErrors: device.writeErrors,
        inUse: device.pool.capacity - device.pool.available,
      },
      history: this.#history.list(),
    };
  }

  /**
   * @param lastWords makes the machine say what it must before it ends
   * @param lines of `ip`, for what `KernelRoutes.clear` does not know of
   */
  async close(lastWords?: () => void, lines: readonly string[] = []): Promise<void> {
    if (lastWords !== undefined) {
      lastWords();
      this.runner.drain();
      await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MILLISECONDS));
    }
    this.runner.close();
    this.ports?.close();
    await this.routes.change(lines, true);
    await this.routes.clear();
    this.device.close();
    this.#context.log('event=ended');
  }
}

/** Whole seconds until then, for people; null for never, as JSON has no infinity. */
export const remainingSeconds = (expiresAt: Instant, now: Instant): number | null =>
  expiresAt === NEVER ? null : Math.round((expiresAt - now) / 1e9);
