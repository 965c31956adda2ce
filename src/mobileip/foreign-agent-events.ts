/** What goes into the foreign agent's machine and what comes out of it: inputs, transmissions, events, and an event's line in a log. */
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import type { IcmpMessage, UdpDatagram } from './datagram.ts';
import { replyCodeText } from './numbers.ts';
import type { Visitor } from './visitor-list.ts';

export type ForeignAgentInput =
  /** From a mobile node, by a link or by the return link of another station. */
  | {
      readonly kind: 'request';
      readonly link: string;
      readonly returnStation?: Ipv4Address;
      readonly datagram: UdpDatagram;
    }
  | { readonly kind: 'solicitation'; readonly link: string; readonly message: IcmpMessage }
  /** From a home agent. */
  | { readonly kind: 'datagram'; readonly datagram: UdpDatagram }
  /** An ICMP error about something relayed to this home agent. */
  | { readonly kind: 'unreachable'; readonly homeAgent: Ipv4Address; readonly code: number }
  | { readonly kind: 'link'; readonly link: string; readonly up: boolean };

export type ForeignAgentTransmit =
  | { readonly kind: 'datagram'; readonly link?: string; readonly datagram: UdpDatagram }
  | { readonly kind: 'icmp'; readonly link: string; readonly message: IcmpMessage };

export type ForeignAgentEvent =
  | {
      readonly kind: 'visitor';
      readonly change: 'arrived' | 'refreshed';
      readonly visitor: Visitor;
      readonly latency: number;
    }
  | {
      readonly kind: 'departed';
      /** `moved`: a revocation of which the mobile node needs not be told, because it is at another station. */
      readonly why: 'expired' | 'deregistered' | 'revoked' | 'moved' | 'moved-link';
      readonly visitor: Visitor;
    }
  | {
      readonly kind: 'relayed';
      readonly link: string;
      readonly homeAddress: Ipv4Address;
      readonly homeAgent: Ipv4Address;
    }
  | { readonly kind: 'denied'; readonly code: number; readonly homeAddress: Ipv4Address }
  | { readonly kind: 'discarded'; readonly reason: string; readonly source: Ipv4Address }
  | { readonly kind: 'advertised'; readonly link: string; readonly sequence: number };

/** For a log. */
export function describeForeignAgentEvent(event: ForeignAgentEvent): string {
  switch (event.kind) {
    case 'visitor':
      return `event=${event.change} home=${formatIpv4(event.visitor.homeAddress)} home-agent=${formatIpv4(event.visitor.homeAgent)} lifetime=${event.visitor.lifetime} latency-ms=${(event.latency / 1e6).toFixed(1)}`;
    case 'departed':
      return `event=departed why=${event.why} home=${formatIpv4(event.visitor.homeAddress)}`;
    case 'relayed':
      return `event=relayed home=${formatIpv4(event.homeAddress)} home-agent=${formatIpv4(event.homeAgent)}`;
    case 'denied':
      return `event=denied code="${replyCodeText(event.code)}" home=${formatIpv4(event.homeAddress)}`;
    case 'discarded':
      return `event=discarded reason=${event.reason} from=${formatIpv4(event.source)}`;
    case 'advertised':
      return `event=advertised link=${event.link} sequence=${event.sequence}`;
  }
}
