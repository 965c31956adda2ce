/**
 * The route table: longest-prefix match over a binary trie of bits, IPv4 and IPv6 alike, with routes that follow the state of
 * their interface (RFC 1812 sections 5.2.4.3 and 5.3.12).
 *
 * Among the routes to one prefix the lowest preference whose interface is up wins. When none is up the prefix is withdrawn and
 * the match falls to a shorter one, except where the interface holds packets for its next contact: there the route stays.
 * Walking the trie is bounded by the prefix length; direct-mapped caches of destinations answer nearly every packet.
 */
import { isIpv4, type Prefix } from '../ip/index.ts';

/** What a lookup gives when it gives no interface. */
export const NO_ROUTE = -1;
/** The address is the router's own. */
export const LOCAL = -2;
/** There is a route but its interface is down and does not hold packets. */
export const WITHDRAWN = -3;

export interface Route {
  readonly prefix: Prefix;
  /** An interface's number, or LOCAL. */
  readonly interface: number;
  /** Lower wins; 0 for the node's own addresses, 10 by default. */
  readonly preference: number;
}

export type InterfaceAvailability = 'up' | 'holding' | 'down';

const CACHE_BITS = 12;
const CACHE_BITS_6 = 8;
const EMPTY = -128;
const NO_WORDS = new Int32Array(0);

export class RouteTable {
  readonly #availability: (index: number) => InterfaceAvailability;
  readonly #ipv4 = new Trie();
  readonly #ipv6 = new Trie();
  /** Routes to multicast prefixes stand apart, so that a multicast never follows the default route. */
  readonly #multicast4 = new Trie();
  readonly #multicast6 = new Trie();
  // Caches of the latest look-ups, made with the first one: a router among thousands may never need them.
  #cacheKeys = NO_WORDS;
  #cacheValues = NO_WORDS;
  /** Four words an address. */
  #cacheKeys6 = NO_WORDS;
  #cacheValues6 = NO_WORDS;

  constructor(availability: (index: number) => InterfaceAvailability) {
    this.#availability = availability;
  }

  get size(): number {
    return this.#tries.reduce((sum, trie) => sum + trie.size, 0);
  }

  add(route: Route): void {
    this.#trieOf(route.prefix).add(route, this.#availability);
    this.#forget();
  }

  /** Removes the route with this prefix, interface and preference; false when there was none. */
  remove(route: Route): boolean {
    const removed = this.#trieOf(route.prefix).remove(route, this.#availability);
    this.#forget();
    return removed;
  }

  /** An interface went up, down or began to hold: every route is judged anew. */
  refresh(): void {
    for (const trie of this.#tries) trie.refresh(this.#availability);
    this.#forget();
  }

  /** The interface for the IPv4 address in the four octets at `at`, or NO_ROUTE, LOCAL, WITHDRAWN. */
  lookup4(octets: Uint8Array, at: number): number {
    if (this.#cacheKeys === NO_WORDS) {
      this.#cacheKeys = new Int32Array(1 << CACHE_BITS);
      this.#cacheValues = new Int32Array(1 << CACHE_BITS).fill(EMPTY);
    }
    const key = word(octets, at);
    const slot = Math.imul(key, 0x9e3779b1) >>> (32 - CACHE_BITS);
    const cached = this.#cacheValues[slot]!;
    if (cached !== EMPTY && this.#cacheKeys[slot] === key) return cached;
    const found = this.#ipv4.lookup(octets, at, 32);
    this.#cacheKeys[slot] = key;
    this.#cacheValues[slot] = found;
    return found;
  }

  /** The same for the 16 octets of an IPv6 address. */
  lookup6(octets: Uint8Array, at: number): number {
    if (this.#cacheKeys6 === NO_WORDS) {
      this.#cacheKeys6 = new Int32Array(4 << CACHE_BITS_6);
      this.#cacheValues6 = new Int32Array(1 << CACHE_BITS_6).fill(EMPTY);
    }
    const a = word(octets, at);
    const b = word(octets, at + 4);
    const c = word(octets, at + 8);
    const d = word(octets, at + 12);
    const mixed = Math.imul(Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0xc2b2ae35) ^ c, 0x27d4eb2f) ^ d;
    const slot = Math.imul(mixed, 0x9e3779b1) >>> (32 - CACHE_BITS_6);
    const keys = this.#cacheKeys6;
    const key = slot << 2;
    const cached = this.#cacheValues6[slot]!;
    if (cached !== EMPTY && keys[key] === a && keys[key + 1] === b && keys[key + 2] === c && keys[key + 3] === d)
      return cached;
    const found = this.#ipv6.lookup(octets, at, 128);
    keys[key] = a;
    keys[key + 1] = b;
    keys[key + 2] = c;
    keys[key + 3] = d;
    this.#cacheValues6[slot] = found;
    return found;
  }

  lookupMulticast(octets: Uint8Array, at: number, ipv4: boolean): number {
    return ipv4 ? this.#multicast4.lookup(octets, at, 32) : this.#multicast6.lookup(octets, at, 128);
  }

  routes(): Route[] {
    return this.#tries.flatMap((trie) => trie.routes());
  }

  #forget(): void {
    this.#cacheValues.fill(EMPTY);
    this.#cacheValues6.fill(EMPTY);
  }

  get #tries(): Trie[] {
    return [this.#ipv4, this.#ipv6, this.#multicast4, this.#multicast6];
  }

  #trieOf({ address, length }: Prefix): Trie {
    if (isIpv4(address)) return length >= 4 && address >>> 28 === 14 ? this.#multicast4 : this.#ipv4;
    return length >= 8 && address[0] === 0xff ? this.#multicast6 : this.#ipv6;
  }
}

const word = (octets: Uint8Array, at: number): number =>
  (octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!;

class Trie {
  /** Two children a node: 2 n for bit 0, 2 n + 1 for bit 1; 0 is none, for the root is nobody's child. */
  #children = new Int32Array(128);
  /** What a match at the node gives now. */
  #targets = new Int32Array(64).fill(NO_ROUTE);
  readonly #candidates = new Map<number, Route[]>();
  #nodes = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  lookup(octets: Uint8Array, at: number, bits: number): number {
    const children = this.#children;
    const targets = this.#targets;
    let best = targets[0]!;
    let withdrawn = false;
    if (best === WITHDRAWN) {
      withdrawn = true;
      best = NO_ROUTE;
    }
    let node = 0;
    for (let i = 0; i < bits; i++) {
      node = children[(node << 1) | ((octets[at + (i >>> 3)]! >>> (7 - (i & 7))) & 1)]!;
      if (node === 0) break;
      const target = targets[node]!;
      if (target === WITHDRAWN) withdrawn = true;
      else if (target !== NO_ROUTE) best = target;
    }
    return best === NO_ROUTE && withdrawn ? WITHDRAWN : best;
  }

  add(route: Route, availability: (index: number) => InterfaceAvailability): void {
    const node = this.#nodeOf(route.prefix, true);
    const routes = (this.#candidates.get(node) ?? []).filter((other) => !sameRoute(other, route));
    routes.push(route);
    routes.sort((a, b) => a.preference - b.preference);
    this.#size += routes.length - (this.#candidates.get(node)?.length ?? 0);
    this.#candidates.set(node, routes);
    this.#targets[node] = resolve(routes, availability);
  }

  remove(route: Route, availability: (index: number) => InterfaceAvailability): boolean {
    const node = this.#nodeOf(route.prefix, false);
    const routes = this.#candidates.get(node);
    const kept = routes?.filter((other) => !sameRoute(other, route));
    if (routes === undefined || kept === undefined || kept.length === routes.length) return false;
    this.#size--;
    // The nodes stay: they are few, and a binding that went usually comes back.
    if (kept.length === 0) this.#candidates.delete(node);
    else this.#candidates.set(node, kept);
    this.#targets[node] = resolve(kept, availability);
    return true;
  }

  refresh(availability: (index: number) => InterfaceAvailability): void {
    for (const [node, routes] of this.#candidates) this.#targets[node] = resolve(routes, availability);
  }

  routes(): Route[] {
    return [...this.#candidates.values()].flat();
  }

  #nodeOf(prefix: Prefix, make: boolean): number {
    const { address, length } = prefix;
    let node = 0;
    for (let i = 0; i < length; i++) {
      const bit = isIpv4(address) ? (address >>> (31 - i)) & 1 : (address[i >>> 3]! >>> (7 - (i & 7))) & 1;
      let child = this.#children[2 * node + bit]!;
      if (child === 0) {
        if (!make) return -1;
        child = this.#newNode();
        this.#children[2 * node + bit] = child;
      }
      node = child;
    }
    return node;
  }

  #newNode(): number {
    if (this.#nodes === this.#targets.length) {
      const children = new Int32Array(this.#children.length * 2);
      children.set(this.#children);
      this.#children = children;
      const targets = new Int32Array(this.#targets.length * 2).fill(NO_ROUTE);
      targets.set(this.#targets);
      this.#targets = targets;
    }
    return this.#nodes++;
  }
}

const sameRoute = (a: Route, b: Route): boolean => a.interface === b.interface && a.preference === b.preference;

function resolve(routes: readonly Route[], availability: (index: number) => InterfaceAvailability): number {
  let holding = NO_ROUTE;
  for (const route of routes) {
    if (route.interface === LOCAL) return LOCAL;
    const state = availability(route.interface);
    if (state === 'up') return route.interface;
    if (state === 'holding' && holding === NO_ROUTE) holding = route.interface;
  }
  if (holding !== NO_ROUTE) return holding;
  return routes.length > 0 ? WITHDRAWN : NO_ROUTE;
}
