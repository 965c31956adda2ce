/**
 * Routes and rules of the kernel, one system call each: rtnetlink (RFC 3549; linux/rtnetlink.h, linux/fib_rules.h), IPv4 only, and of
 * all that it can the little that changes with every handover. `ip -batch` stays for what is done once: it costs a process.
 *
 * The kernel has done what was asked, or refused, when the call returns: netlink answers from within the send.
 */
import { readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { OmniError } from '../core/index.ts';
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import type { Native } from './native.ts';

export interface KernelRoute {
  readonly destination: Ipv4Address;
  readonly prefixLength: number;
  readonly interfaceIndex: number;
  /** Who made it, as `ip route show proto N` selects: 0 to 255. */
  readonly protocol: number;
}

/** What comes in by this interface from this source is routed by a table of its own. */
export interface KernelRule {
  readonly inputInterface: string;
  readonly source: Ipv4Address;
  readonly table: number;
  readonly priority: number;
}

// Of linux/netlink.h, linux/rtnetlink.h and linux/fib_rules.h.
const AF_INET = 2;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const REQUEST_AND_ACKNOWLEDGE = 0x5;
const REPLACE_OR_CREATE = 0x500;
const CREATE_EXCLUSIVELY = 0x600;
const NLMSG_ERROR = 2;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const FR_ACT_TO_TBL = 1;
const ATTRIBUTE = { routeDestination: 1, routeOutput: 4, ruleSource: 2, ruleInput: 3, rulePriority: 6, ruleTable: 15 };
const HEADER_OCTETS = 16;
const ENOENT = 2;
const ESRCH = 3;
const EEXIST = 17;
const GONE: ReadonlySet<number> = new Set([ENOENT, ESRCH]);

const LITTLE = endianness() === 'LE';

export class RouteSocket {
  readonly #native: Native;
  readonly #fd: number;
  #sequence = 0;
  readonly #answer = new Uint8Array(4096);

  /** @param netns default the process's own. Throws NativeError. */
  constructor(native: Native, netns?: string) {
    this.#native = native;
    const options = { domain: AF_NETLINK, type: SOCK_RAW, protocol: 0 };
    this.#fd = native.openSocketInNamespace(netns === undefined ? options : { ...options, netns });
  }

  /** Throws OmniError OMNI_ROUTE. */
  replaceRoute(route: KernelRoute): void {
    const request = new Request(RTM_NEWROUTE, REPLACE_OR_CREATE);
    this.#ask(routeOf(request, route, RT_SCOPE_LINK), `adding the route to ${nameOf(route)}`);
  }

  /** One that is not there is removed already. Throws OmniError OMNI_ROUTE. */
  removeRoute(route: KernelRoute): void {
    this.#ask(
      routeOf(new Request(RTM_DELROUTE, 0), route, RT_SCOPE_NOWHERE),
      `removing the route to ${nameOf(route)}`,
      GONE,
    );
  }

  /** One that is there stays. Throws OmniError OMNI_ROUTE. */
  addRule(rule: KernelRule): void {
    const request = new Request(RTM_NEWRULE, CREATE_EXCLUSIVELY);
    this.#ask(ruleOf(request, rule), `adding the rule for ${formatIpv4(rule.source)}`, new Set([EEXIST]));
  }

  /** One that is not there is removed already. Throws OmniError OMNI_ROUTE. */
  removeRule(rule: KernelRule): void {
    this.#ask(ruleOf(new Request(RTM_DELRULE, 0), rule), `removing the rule for ${formatIpv4(rule.source)}`, GONE);
  }

  close(): void {
    this.#native.closeFd(this.#fd);
  }

  #ask(request: Request, what: string, fine: ReadonlySet<number> = new Set()): void {
    const sequence = ++this.#sequence;
    writeSync(this.#fd, request.finish(sequence));
    const view = new DataView(this.#answer.buffer, 0, readSync(this.#fd, this.#answer));
    if (view.byteLength < HEADER_OCTETS + 4 || view.getUint16(4, LITTLE) !== NLMSG_ERROR)
      throw new OmniError('OMNI_ROUTE', `${what}: the kernel did not answer`);
    const error = -view.getInt32(HEADER_OCTETS, LITTLE);
    if (error === 0 || fine.has(error)) return;
    throw new OmniError('OMNI_ROUTE', `${what}: ${getSystemErrorName(-error)}`);
  }
}

const nameOf = ({ destination, prefixLength }: KernelRoute): string => `${formatIpv4(destination)}/${prefixLength}`;

/** struct rtmsg and its attributes. */
function routeOf(request: Request, route: KernelRoute, scope: number): Request {
  const { destination, prefixLength, interfaceIndex, protocol } = route;
  request.octets(AF_INET, prefixLength, 0, 0, RT_TABLE_MAIN, protocol, scope, RTN_UNICAST).word(0);
  return request.address(ATTRIBUTE.routeDestination, destination).number(ATTRIBUTE.routeOutput, interfaceIndex);
}

/** struct fib_rule_hdr and its attributes. */
function ruleOf(request: Request, { inputInterface, source, table, priority }: KernelRule): Request {
  request.octets(AF_INET, 0, 32, 0, table < 256 ? table : 0, 0, 0, FR_ACT_TO_TBL).word(0);
  return request
    .address(ATTRIBUTE.ruleSource, source)
    .text(ATTRIBUTE.ruleInput, inputInterface)
    .number(ATTRIBUTE.rulePriority, priority)
    .number(ATTRIBUTE.ruleTable, table);
}

/** A netlink message: header and body in the machine's own octet order, addresses in the network's. */
class Request {
  readonly #view = new DataView(new ArrayBuffer(256));
  #length = HEADER_OCTETS;

  constructor(type: number, flags: number) {
    this.#view.setUint16(4, type, LITTLE);
    this.#view.setUint16(6, flags | REQUEST_AND_ACKNOWLEDGE, LITTLE);
  }

  octets(...values: readonly number[]): this {
    for (const value of values) this.#view.setUint8(this.#length++, value);
    return this;
  }
  word(value: number): this {
    this.#view.setUint32(this.#length, value, LITTLE);
    this.#length += 4;
    return this;
  }
  number(attribute: number, value: number): this {
    return this.#attribute(attribute, 4).word(value);
  }
  address(attribute: number, value: Ipv4Address): this {
    this.#attribute(attribute, 4);
    this.#view.setUint32(this.#length, value);
    this.#length += 4;
    return this;
  }
  /** Ended by a NUL, padded to a multiple of four. */
  text(attribute: number, value: string): this {
    this.#attribute(attribute, value.length + 1).octets(...Array.from(value, (each) => each.charCodeAt(0)), 0);
    this.#length = (this.#length + 3) & ~3;
    return this;
  }

  finish(sequence: number): Uint8Array {
    this.#view.setUint32(0, this.#length, LITTLE);
    this.#view.setUint32(8, sequence, LITTLE);
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  #attribute(type: number, octets: number): this {
    this.#view.setUint16(this.#length, 4 + octets, LITTLE);
    this.#view.setUint16(this.#length + 2, type, LITTLE);
    this.#length += 4;
    return this;
  }
}
