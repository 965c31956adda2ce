/**
 * What is remembered of a message that is done: that its transaction is not accepted twice, and what it tells of the traffic to expect.
 * A month brings many, so no more than that is kept in memory of the envelope on disk.
 */
import type { WallTime } from '../../core/index.ts';
import type { Envelope } from './envelope.ts';
import type { Transfer } from './link-estimator.ts';

export interface FinishedMessage
  extends Pick<Envelope, 'id' | 'transaction' | 'octets' | 'recipients' | 'arrived' | 'priority'> {
  readonly deliveries: readonly Delivery[];
}

/** What it cost to hand the message to one next hop. */
export interface Delivery {
  readonly hop: string;
  readonly at: WallTime;
  readonly transfer: Transfer;
}

export function finishedForm(envelope: Envelope): FinishedMessage {
  const { id, transaction, octets, recipients, arrived, priority, hops } = envelope;
  return {
    id,
    octets,
    recipients: recipients.map(({ address, hop, state }) => ({ address, hop, state })),
    arrived,
    priority,
    ...(transaction === undefined ? {} : { transaction }),
    deliveries: Object.entries(hops).flatMap(([hop, { transfer, lastAttempt: at }]) =>
      transfer === undefined || at === undefined ? [] : [{ hop, at, transfer }],
    ),
  };
}
