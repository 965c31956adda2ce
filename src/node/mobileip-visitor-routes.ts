/**
 * What a foreign agent changes when a visitor comes and goes: in its kernel a route to the visitor and, with a reverse tunnel, a rule
 * for what comes from it; in the node's user-space router the link that it is on. The kernel's part is done when a call returns.
 */
import { readFileSync } from 'node:fs';
import { DEVICE_NAME } from '../io/mobileip-device.ts';
import type { Native } from '../io/native.ts';
import { type KernelRoute, type KernelRule, RouteSocket } from '../io/rtnetlink.ts';
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import { ROUTE_PROTOCOL, ROUTE_TABLE, type RouterRoutes, RULE_PRIORITY } from './mobileip-node.ts';

const MULTICAST_FROM = 0xe0000000;

export interface VisitorRoutesOptions {
  readonly native: Native;
  readonly router: RouterRoutes;
  /** The TUN of the space links. */
  readonly space: string;
  readonly own: ReadonlySet<Ipv4Address>;
  readonly log: (line: string) => void;
}

export class VisitorRoutes {
  readonly #options: VisitorRoutesOptions;
  readonly #kernel: RouteSocket;
  /** Home addresses that have a route to their link: visitors, and who has asked to become one. */
  readonly #reachable = new Map<Ipv4Address, string>();
  readonly #ruled = new Set<Ipv4Address>();
  #closed = false;

  /** Throws NativeError. */
  constructor(options: VisitorRoutesOptions) {
    this.#options = options;
    this.#kernel = new RouteSocket(options.native);
  }

  /** Of the agent's start: everything of visitors goes to mip0 that has a rule, and is lost while there is no mip0. */
  static startLines(space: string): string[] {
    return [
      `route replace default dev ${DEVICE_NAME} table ${ROUTE_TABLE}`,
      `route replace 224.0.0.0/24 dev ${space} proto ${ROUTE_PROTOCOL}`,
    ];
  }

  /** What is sent to this address leaves by this link. Resolves when the router knows, too. */
  reach(home: Ipv4Address, link: string): Promise<unknown> {
    // No route for an address of ours, for none, or for a broadcast.
    if (home === 0 || home >= MULTICAST_FROM || this.#options.own.has(home)) return this.#options.router.settled();
    this.#reachable.set(home, link);
    // Each time: cheap, and a start may have removed it.
    this.#change(() => this.#kernel.replaceRoute(this.#routeTo(home)));
    return this.#setRouter();
  }

  forget(home: Ipv4Address): void {
    if (!this.#reachable.delete(home)) return;
    this.#change(() => this.#kernel.removeRoute(this.#routeTo(home)));
    void this.#setRouter();
  }

  /** Whether what this visitor sends goes into the reverse tunnel, all of it. */
  setReverse(home: Ipv4Address, reverse: boolean): void {
    if (reverse === this.#ruled.has(home)) return;
    if (reverse) this.#ruled.add(home);
    else this.#ruled.delete(home);
    const { space } = this.#options;
    const rule: KernelRule = { inputInterface: space, source: home, table: ROUTE_TABLE, priority: RULE_PRIORITY };
    this.#change(() => (reverse ? this.#kernel.addRule(rule) : this.#kernel.removeRule(rule)));
  }

  close(): void {
    this.#closed = true;
    this.#kernel.close();
  }

  #setRouter(): Promise<unknown> {
    return this.#options.router.set(
      [...this.#reachable].map(([home, link]) => ({ prefix: `${formatIpv4(home)}/32`, link })),
    );
  }

  #routeTo(destination: Ipv4Address): KernelRoute {
    const interfaceIndex = Number(readFileSync(`/sys/class/net/${this.#options.space}/ifindex`, 'latin1'));
    return { destination, prefixLength: 32, interfaceIndex, protocol: ROUTE_PROTOCOL };
  }

  #change(change: () => void): void {
    if (this.#closed) return;
    try {
      change();
    } catch (error) {
      this.#options.log(`event=route-failed reason=${JSON.stringify((error as Error).message)}`);
    }
  }
}
