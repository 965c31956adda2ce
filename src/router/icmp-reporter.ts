/**
 * Sends ICMP errors about packets: whether one may be sent, from which address, and at most so many a second
 * (RFC 1812 sections 4.3.2.4, 4.3.2.7 and 4.3.2.8; RFC 4443 section 2.4).
 */
import { invariant } from '../core/errors.ts';
import type { PacketBuffer, PacketPool } from '../core/packet.ts';
import type { Instant } from '../core/time.ts';
import {
  type IcmpError,
  type IpAddress,
  icmpErrorOctets,
  ipVersion,
  isIpv4,
  mayReportIpv4,
  mayReportIpv6,
  writeIcmpError,
} from '../ip/index.ts';
import type { RouterInterface } from './interface.ts';
import type { RouteTable } from './route-table.ts';
import { TokenBucket } from './token-bucket.ts';

export interface IcmpReporterOptions {
  readonly pool: PacketPool;
  readonly routes: RouteTable;
  readonly interfaces: readonly RouterInterface[];
  /** Takes the message as a packet of the node's own. */
  readonly originate: (packet: PacketBuffer, now: Instant) => void;
  readonly perSecond: number;
  readonly burst: number;
}

export class IcmpReporter {
  readonly #options: IcmpReporterOptions;
  readonly #tokens: TokenBucket;
  #identification = 0;
  sent = 0;
  /** Not sent because too many were. */
  suppressed = 0;

  constructor(options: IcmpReporterOptions) {
    this.#options = options;
    this.#tokens = new TokenBucket(options.perSecond, options.burst);
  }

  /** Reports on the packet, which stays the caller's and unchanged; silent where no error may be sent. */
  report(packet: PacketBuffer, error: IcmpError, now: Instant): void {
    const { pool, routes } = this.#options;
    const { arena, start, length } = packet;
    const ipv4 = ipVersion(arena, start) === 4;
    const tooBig = !ipv4 && error.type === 2;
    if (!(ipv4 ? mayReportIpv4(arena, start, length) : mayReportIpv6(arena, start, length, tooBig))) return;
    const target = ipv4 ? routes.lookup4(arena, start + 12) : routes.lookup6(arena, start + 8);
    const source = target < 0 ? undefined : this.#sourceAddress(target, ipv4);
    if (source === undefined) return;
    if (!this.#tokens.take(now)) {
      this.suppressed++;
      return;
    }
    invariant(icmpErrorOctets(source) <= pool.largestPacketOctets, 'packet slots too small for an ICMP error');
    const message = pool.acquire();
    if (message === undefined) return;
    this.#identification = (this.#identification + 1) & 0xffff;
    message.length = writeIcmpError(arena, message.start, error, source, arena, start, length, this.#identification);
    this.sent++;
    this.#options.originate(message, now);
  }

  /** That of the interface the message leaves by; an unnumbered link borrows the node's (RFC 1812 section 2.2.7). */
  #sourceAddress(index: number, ipv4: boolean): IpAddress | undefined {
    const { interfaces } = this.#options;
    const byPreference = [interfaces[index]!, ...interfaces.filter((each) => each.kind === 'host'), ...interfaces];
    for (const each of byPreference) {
      const address = each.addresses.find((one) => isIpv4(one) === ipv4);
      if (address !== undefined) return address;
    }
    return undefined;
  }
}
