/** What the home agent's machine tells, and an event's line in a log. */
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import type { Binding } from './binding-table.ts';
import type { ReplayRecord } from './identification.ts';
import { replyCodeText } from './numbers.ts';

export type RemovalReason = 'expired' | 'deregistered' | 'moved' | 'revoked';

export type HomeAgentEvent =
  | {
      readonly kind: 'bound';
      readonly change: 'created' | 'refreshed';
      readonly binding: Binding;
      readonly replay: ReplayRecord;
    }
  | { readonly kind: 'unbound'; readonly why: RemovalReason; readonly binding: Binding; readonly replay: ReplayRecord }
  | { readonly kind: 'denied'; readonly code: number; readonly homeAddress: Ipv4Address; readonly source: Ipv4Address }
  | { readonly kind: 'discarded'; readonly reason: string; readonly source: Ipv4Address };

/** For a log. */
export function describeHomeAgentEvent(event: HomeAgentEvent): string {
  switch (event.kind) {
    case 'bound':
      return `event=${event.change} home=${formatIpv4(event.binding.homeAddress)} care-of=${formatIpv4(event.binding.careOfAddress)} lifetime=${event.binding.lifetime}`;
    case 'unbound':
      return `event=unbound why=${event.why} home=${formatIpv4(event.binding.homeAddress)} care-of=${formatIpv4(event.binding.careOfAddress)}`;
    case 'denied':
      return `event=denied code="${replyCodeText(event.code)}" home=${formatIpv4(event.homeAddress)} from=${formatIpv4(event.source)}`;
    case 'discarded':
      return `event=discarded reason=${event.reason} from=${formatIpv4(event.source)}`;
  }
}
