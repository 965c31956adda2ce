/** `omni top`: links, queues, contacts and losses of a testbed, live. */
import type { Command } from 'commander';
import { Screen } from '../../console/screen.ts';
import { topLines } from '../../console/top.ts';
import { parseDuration } from '../../scenario/index.ts';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { VerbError, verb } from '../verb.ts';

/** Rates are means over about this long: a frame on a slow line takes over a second. */
const MEAN_OVER_MILLISECONDS = 5000;

interface Options {
  readonly testbed?: string;
  readonly interval: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'top',
    'Watch a testbed: rates, queues by class, contacts with their countdown, losses by reason, lateness.',
    [
      'omni top                      q leaves',
      'omni top second --interval 5s',
      'omni top --once               one view, over one interval, and out',
      'omni top --json | jq -c .dataPlane.alarms',
    ],
  )
    .argument('[testbed]', 'which; default: the only one')
    .option('--testbed <name>', 'the same as the argument')
    .option('--interval <time>', 'between two looks', '1s')
    .option('--once', 'print one view and end; so too when stdout is no terminal')
    .option('--json', 'print what `omni status --json` has, one document a line, every interval')
    .action(run);
}

async function run(argument: string | undefined, options: Options): Promise<void> {
  const interval = parseDuration(options.interval);
  if (!interval.ok || interval.value < 100e6)
    throw new VerbError(EXIT.usage, `--interval: ${interval.ok ? 'at least 100ms' : interval.reason}`);
  const testbed = await selectRunningTestbed(argument ?? options.testbed);
  const ask = async () => (await controlRequest(testbed.paths.controlSocket, 'status')) as DaemonStatus;
  const pause = interval.value / 1e6;
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
  // A reader that goes away (`| head`) ends the view, not with an error.
  process.stdout.on('error', () => stop.abort());

  let before = await ask();
  if (options.json) {
    while (!stop.signal.aborted) {
      process.stdout.write(`${JSON.stringify(before)}\n`);
      if (options.once) return;
      await wait(pause, stop.signal);
      if (!stop.signal.aborted) before = await ask();
    }
    return;
  }
  if (options.once || !process.stdout.isTTY) {
    await wait(pause, stop.signal);
    if (stop.signal.aborted) return;
    process.stdout.write(
      `${topLines(before, await ask(), { testbed: testbed.name })
        .join('\n')
        .trimEnd()}\n`,
    );
    return;
  }
  const screen = new Screen((key) => {
    if (key === 'quit') stop.abort();
  });
  screen.open();
  try {
    screen.show(topLines(undefined, before, { testbed: testbed.name }));
    const looks = [before];
    for (;;) {
      await wait(pause, stop.signal);
      if (stop.signal.aborted) return;
      const now = await ask();
      screen.show(topLines(looks[0], now, { testbed: testbed.name }));
      looks.push(now);
      if (looks.length * pause > MEAN_OVER_MILLISECONDS) looks.shift();
    }
  } finally {
    screen.close();
  }
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
