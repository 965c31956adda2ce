/** `omni capture`: streams what passes on a link as pcapng, to a file or into Wireshark. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { type Command, Option } from 'commander';
import { TAPS, type Tap } from '../../io/recorded-link.ts';
import { controlStream } from '../../testbed/control.ts';
import { selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { note, VerbError, verb } from '../verb.ts';

interface CaptureOptions {
  readonly write: string;
  readonly testbed?: string;
  readonly direction?: 'up' | 'down';
  readonly tap?: Tap[];
  readonly at?: string;
  readonly ring?: boolean;
  readonly dump?: boolean;
}

export function command(): Command {
  return verb(
    'capture',
    'Record what passes on the links as pcapng: four taps a direction (IP in, frame sent, frame received with its damage, IP out) and the drops, each an interface.',
    [
      'omni capture space -w space.pcapng                              # until Ctrl-C',
      'omni capture space --direction down --tap frame-received -w - | wireshark -k -i -',
      'omni capture --at spacecraft -w - | tshark -l -r -                  # as tcpdump on the spacecraft would see it',
      'omni capture --dump -w last-minutes.pcapng                          # what the ring still has, then end',
    ],
  )
    .argument('[link]', 'a link of the testbed; without it, all of them')
    .option('-w, --write <file>', 'write to this file, - for stdout', '-')
    .addOption(new Option('--direction <direction>', 'only this direction').choices(['up', 'down']))
    .addOption(new Option('--tap <tap...>', 'only these taps').choices([...TAPS]))
    .option('--at <node>', 'only the IP packets that this node sends and receives')
    .option('--ring', 'begin with the oldest packet that the ring still has')
    .option('--dump', 'write what the ring has and end')
    .option('--testbed <name>', 'the testbed, when more than one is up')
    .action(run);
}

async function run(link: string | undefined, options: CaptureOptions): Promise<void> {
  const toStdout = options.write === '-';
  if (toStdout && process.stdout.isTTY)
    throw new VerbError(
      EXIT.usage,
      'a capture is not for a terminal',
      'Write it to a file (-w FILE) or pipe it: | wireshark -k -i -',
    );
  const { paths } = await selectRunningTestbed(options.testbed);
  const output: Writable = toStdout ? process.stdout : createWriteStream(options.write);
  let octets = 0;
  let failure: Error | undefined;
  // The reader of the pipe went away: that ends a capture as Ctrl-C does.
  output.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  const abort = new AbortController();
  const params = {
    ...(link === undefined ? {} : { links: [link] }),
    ...(options.direction === undefined ? {} : { directions: [options.direction] }),
    ...(options.tap === undefined ? {} : { taps: options.tap }),
    ...(options.at === undefined ? {} : { at: options.at }),
    ...(options.ring || options.dump ? { from: 'ring' } : {}),
    ...(options.dump ? { until: 'end-of-ring' } : {}),
  };
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  if (!toStdout && !options.dump) note(`capturing to ${options.write}; Ctrl-C ends it`);
  try {
    for await (const piece of controlStream(paths.controlSocket, 'capture', params, abort.signal)) {
      const data = Buffer.from(String(piece), 'base64');
      octets += data.length;
      if (!output.write(data)) await drained(output);
      if (failure !== undefined) break;
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    if (!toStdout) await new Promise<void>((resolve) => output.end(() => resolve()));
  }
  if (failure !== undefined && (failure as NodeJS.ErrnoException).code !== 'EPIPE')
    throw new VerbError(EXIT.failure, `cannot write the capture: ${failure.message}`);
  if (!toStdout) note(`${options.write}: ${octets} octets`);
}

const drained = (output: Writable): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      output.off('drain', done).off('error', done).off('close', done);
      resolve();
    };
    output.once('drain', done).once('error', done).once('close', done);
  });
