/**
 * The hook of NTP's correction in the real link: what is done to a packet when it has come out of a line. Only then is known how
 * long the link held it: from the router that queued it taking it in until its closing flag left the transmitter. Propagation and
 * jitter are the path's, not the link's, and stay in.
 */
import { type CorrectionMode, LinkCorrector, looksLikeNtp } from '../apps/ntp/index.ts';
import type { Counters, PacketBuffer } from '../core/index.ts';

/** One for both directions of a link; undefined when the link leaves NTP alone. Counts outcomes by name. */
export function ntpRewriter(mode: CorrectionMode, counters: Counters): ((packet: PacketBuffer) => void) | undefined {
  if (mode === 'off') return undefined;
  const corrector = new LinkCorrector(mode);
  return (packet) => {
    // Trains are TCP.
    if (packet.train !== undefined || !looksLikeNtp(packet.arena, packet.start, packet.end)) return;
    counters.add(corrector.correct(packet.view(), (packet.sentAt - packet.enteredAt) / 1e9));
  };
}
