/** The bits that a line can carry in a time: its rate over that time, while in contact. By the channel's own time-lines. */
import type { Instant } from '../../core/index.ts';
import { lineSettingsOf } from '../../node/line-settings.ts';
import { lineSources } from '../../node/line-sources.ts';
import type { ResolvedLink, ResolvedScenario } from '../../scenario/resolved.ts';

export function lineBitsOf(
  scenario: Pick<ResolvedScenario, 'epochMilliseconds'>,
  link: ResolvedLink,
  direction: 'up' | 'down',
): (from: Instant, to: Instant) => number {
  const { settings, carrier } = lineSettingsOf(link[direction], lineSources(scenario));
  return (from, to) => {
    let bits = 0;
    for (let at = from; at < to; ) {
      const next = Math.min(to, settings.rate.nextChange(at), carrier.nextChange(at)) as Instant;
      if (carrier.isUp(at)) bits += ((next - at) / 1e9) * settings.rate.at(at);
      at = next;
    }
    return bits;
  };
}
