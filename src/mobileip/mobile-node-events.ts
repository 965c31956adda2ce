/** What goes into the mobile node's machine and what comes out of it: inputs, transmissions, events, and an event's line in a log. */
import type { Duration, Instant } from '../core/index.ts';
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import type { IcmpMessage, UdpDatagram } from './datagram.ts';
import type { Attachment } from './mobile-node-tunnel.ts';
import { replyCodeText } from './numbers.ts';

export type MobileNodeInput =
  | { readonly kind: 'link'; readonly link: string; readonly up: boolean }
  | { readonly kind: 'advertisement'; readonly link: string; readonly message: IcmpMessage }
  | { readonly kind: 'datagram'; readonly link: string; readonly datagram: UdpDatagram };

export type MobileNodeTransmit =
  | { readonly kind: 'datagram'; readonly link: string; readonly datagram: UdpDatagram }
  | { readonly kind: 'icmp'; readonly link: string; readonly message: IcmpMessage };

export interface Registration extends Attachment {
  readonly link: string;
  /** Seconds, as granted. */
  readonly lifetime: number;
  readonly sentAt: Instant;
  readonly expiresAt: Instant;
  readonly homeAddress: Ipv4Address;
  /** Prefixes that the home agent serves. */
  readonly networks: number;
  readonly keepaliveSeconds: number;
}

export type MobileNodeEvent =
  /** Traffic goes this way from now on. `latency`: from the first request to the reply. */
  | {
      readonly kind: 'registered';
      readonly change: 'attached' | 'handover' | 'refreshed';
      readonly registration: Registration;
      readonly latency: Duration;
      readonly attempts: number;
    }
  /** The link of a registration that still holds is back: traffic goes there before the renewal is answered. */
  | { readonly kind: 'resumed'; readonly registration: Registration }
  | { readonly kind: 'detached'; readonly why: 'expired' | 'revoked' | 'home'; readonly registration: Registration }
  /** On the home network; the home agent knows. */
  | { readonly kind: 'at-home'; readonly link: string; readonly latency: Duration }
  | { readonly kind: 'requested'; readonly link: string; readonly agent: Ipv4Address; readonly attempt: number }
  | { readonly kind: 'denied'; readonly code: number; readonly agent: Ipv4Address }
  | { readonly kind: 'discarded'; readonly reason: string; readonly source: Ipv4Address }
  | { readonly kind: 'keepalive'; readonly registration: Registration };

/** For a log. */
export function describeMobileNodeEvent(event: MobileNodeEvent): string {
  switch (event.kind) {
    case 'registered':
      return `event=${event.change} link=${event.registration.link} care-of=${formatIpv4(event.registration.careOfAddress)} lifetime=${event.registration.lifetime} latency-ms=${(event.latency / 1e6).toFixed(1)} attempts=${event.attempts}`;
    case 'resumed':
    case 'keepalive':
      return `event=${event.kind} link=${event.registration.link}`;
    case 'detached':
      return `event=detached why=${event.why} link=${event.registration.link}`;
    case 'at-home':
      return `event=at-home link=${event.link} latency-ms=${(event.latency / 1e6).toFixed(1)}`;
    case 'requested':
      return `event=requested link=${event.link} agent=${formatIpv4(event.agent)} attempt=${event.attempt}`;
    case 'denied':
      return `event=denied code="${replyCodeText(event.code)}" agent=${formatIpv4(event.agent)}`;
    case 'discarded':
      return `event=discarded reason=${event.reason} from=${formatIpv4(event.source)}`;
  }
}
