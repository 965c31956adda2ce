/**
 * The port through which packets that wait for a contact are kept outside memory; `src/io/hold-store.ts` keeps them in a file.
 * One store belongs to one class of one interface. A packet is in the store or in the queue, never in both.
 */
import type { PacketBuffer } from '../core/packet.ts';
import type { Instant } from '../core/time.ts';

export interface HeldPacket {
  readonly octets: number;
  /** When it was queued first. Negative for one that an earlier run of the process queued before this one's origin. */
  readonly queuedAt: Instant;
}

export interface HoldStore {
  readonly packets: number;
  readonly octets: number;
  /** The oldest. */
  first(): HeldPacket | undefined;
  /** Keeps a copy, which survives the process; the caller keeps the packet. False when it could not be written. */
  append(packet: PacketBuffer): boolean;
  /**
   * Moves the first packet into `into`, which has room for so many octets from its start. From then on it is never given again,
   * not even after a restart. False when it could not be read back or does not fit; then it is gone.
   */
  take(into: PacketBuffer, room: number): boolean;
}
