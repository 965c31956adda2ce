/** The recorder of a testbed's links: what the scenario calls them, and the wall time of the data plane's instant 0. */
import type { Instant, WallTime } from '../core/index.ts';
import type { RecordedDirection } from '../io/recorded-link.ts';
import { Recorder } from '../io/recorder.ts';
import { DEFAULT_TRAFFIC_CLASSES } from '../router/index.ts';
import type { ResolvedDirection, ResolvedLink, ResolvedScenario } from '../scenario/resolved.ts';

export function createRecorder(scenario: ResolvedScenario, options: { ringOctets?: number } = {}): Recorder {
  return new Recorder({
    application: `omni, testbed ${scenario.name}, seed ${scenario.seed}`,
    links: scenario.links.map((link) => ({
      name: link.name,
      directions: [
        recordedDirection(scenario, link, 'up', link.from, link.to, link.up),
        recordedDirection(scenario, link, 'down', link.to, link.from, link.down),
      ] as const,
    })),
    ...options,
  });
}

/** To be called once the data plane runs; `now` is its present instant. Captures carry the host's wall time from then on. */
export function setRecorderClock(recorder: Recorder, now: Instant): void {
  recorder.epoch = (BigInt(Date.now()) * 1_000_000n - BigInt(now)) as WallTime;
}

function recordedDirection(
  scenario: ResolvedScenario,
  link: ResolvedLink,
  name: string,
  from: string,
  to: string,
  { rateBitPerSecond }: ResolvedDirection,
): RecordedDirection {
  const classes = scenario.nodes.find((node) => node.name === from)?.classes ?? DEFAULT_TRAFFIC_CLASSES;
  return {
    name,
    from,
    to,
    bitPerSecond: rateBitPerSecond,
    framing: link.encapsulation.kind,
    fcsOctets: link.fcs === 32 ? 4 : 2,
    classes: classes.map((each) => each.name),
  };
}
