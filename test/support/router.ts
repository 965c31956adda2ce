/** A router for tests: text routes, a list of drops, and packets as octets in and out. */
import { type Instant, ORIGIN, PacketPool } from '../../src/core/index.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { type DropReason, type InterfaceOptions, Router, type RouterOptions } from '../../src/router/index.ts';

type TextInterface = Omit<InterfaceOptions, 'addresses' | 'mtuOctets'> & {
  readonly addresses?: readonly string[];
  readonly mtuOctets?: number;
};

export interface TestRouterOptions extends Omit<RouterOptions, 'pool' | 'interfaces' | 'routes' | 'onDrop'> {
  readonly interfaces: readonly TextInterface[];
  /** Prefix, interface, preference. */
  readonly routes?: readonly (readonly [string, number, number?])[];
  readonly poolPackets?: number;
}

export class TestRouter {
  readonly pool: PacketPool;
  readonly router: Router;
  readonly drops: DropReason[] = [];
  now: Instant = ORIGIN;

  constructor(options: TestRouterOptions) {
    this.pool = new PacketPool({ capacity: options.poolPackets ?? 4096, slotOctets: 2048 });
    const { routes, interfaces, ...rest } = options;
    this.router = new Router({
      ...rest,
      pool: this.pool,
      interfaces: interfaces.map((each) => ({
        mtuOctets: 1500,
        ...each,
        addresses: (each.addresses ?? []).map((text) => parseAddress(text)!),
      })),
      routes: (routes ?? []).map(([prefix, to, preference]) => ({
        prefix: parsePrefix(prefix)!,
        interface: to,
        ...(preference !== undefined && { preference }),
      })),
      onDrop: (_, reason) => this.drops.push(reason),
    });
  }

  receive(octets: Uint8Array, ingress: number): void {
    const packet = this.pool.copyOf(octets);
    if (packet === undefined) throw new Error('test pool empty');
    this.router.receive(packet, ingress, this.now);
  }

  /** All that the interface would send now. */
  sent(index: number): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (;;) {
      const packet = this.router.output(index).dequeue(this.now);
      if (packet === undefined) return out;
      out.push(packet.view().slice());
      this.pool.release(packet);
    }
  }
}
