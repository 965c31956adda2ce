/**
 * The flight replayed: testbeds of one scenario that differ only in their TCP, side by side with the same seed of bit errors; in
 * each, stock curl fetches the same image by FTP from the spacecraft while the link is recorded. Everything made is removed,
 * whatever happens; only the captures, the images and the logs stay in the output directory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { OmniError } from '../core/index.ts';
import type { DataPlaneStatus } from '../node/data-plane.ts';
import { parseScenario } from '../scenario/index.ts';
import { controlRequest, controlStream } from '../testbed/control.ts';
import { takeLock } from '../testbed/lock.ts';
import { removeTestbed } from '../testbed/remove.ts';
import { nodeStateDirectory, type TestbedPaths, testbedPaths } from '../testbed/run-directory.ts';
import { bringUp } from '../testbed/up.ts';
import { reportTransfer, type TransferReport } from './transfer-report.ts';

export interface ReplayVariant {
  /** In names of namespaces and files. */
  readonly key: string;
  readonly title: string;
  /** The scenario's `tcp` section. */
  readonly tcp: Readonly<Record<string, unknown>>;
}

export interface ReplayOptions {
  /** A scenario with the nodes `spacecraft` (FTP, camera) and `control` and one link. */
  readonly scenarioText: string;
  readonly scenarioFile: string;
  readonly variants: readonly ReplayVariant[];
  /** Testbeds are named `<name>-<variant>`. */
  readonly name: string;
  readonly seed: number | string;
  readonly bitErrorRate: number;
  readonly image: { readonly name: string; readonly octets: number; readonly seed: number | string };
  /** For captures, images and logs; exists. */
  readonly directory: string;
  /** A transfer that takes longer is given up. */
  readonly limitSeconds: number;
  readonly signal: AbortSignal;
  note(text: string): void;
  progress(state: readonly TransferProgress[]): void;
}

export interface TransferProgress {
  readonly variant: ReplayVariant;
  readonly octets: number;
  readonly ofOctets: number;
  readonly seconds: number;
  readonly done: boolean;
}

export interface ReplayResult {
  readonly variant: ReplayVariant;
  readonly complete: boolean;
  /** What curl said when it failed. */
  readonly problem: string | undefined;
  /** From curl's start to its end: connecting, logging in and the transfer. */
  readonly clientSeconds: number;
  readonly transfer: TransferReport | undefined;
  readonly downlinkBitPerSecond: number;
  /** Bits that the channel flipped in the downlink while the testbed was up. */
  readonly bitErrors: number;
  readonly sha256: { readonly sent: string; readonly received: string | undefined };
  readonly files: { readonly link: string; readonly spacecraft: string; readonly image: string };
}

const PROGRESS_MILLISECONDS = 250;
/** After the last octet arrived: the last acknowledgments cross the link. */
const SETTLE_MILLISECONDS = 1500;

export async function replay(options: ReplayOptions): Promise<ReplayResult[]> {
  const runs = options.variants.map((variant) => new Run(variant, options));
  try {
    for (const run of runs) await run.bringUp();
    await startTogether(runs);
    const ticker = setInterval(() => options.progress(runs.map((run) => run.progress())), PROGRESS_MILLISECONDS);
    try {
      await Promise.all(runs.map((run) => run.fetch()));
    } finally {
      clearInterval(ticker);
    }
    options.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLISECONDS));
    return await Promise.all(runs.map((run) => run.finish()));
  } finally {
    // One after the other and each in any case: what is left behind is worse than an error.
    const failures = (await Promise.allSettled(runs.map((run) => run.remove()))).filter((r) => r.status === 'rejected');
    if (failures.length > 0) options.note(`could not remove everything: ${String(failures[0]!.reason)}`);
  }
}

/**
 * The noise is a function of the seed and the position in the bit stream, so the transfers meet the same errors only when they
 * begin at the same age of their testbeds: the younger wait.
 */
async function startTogether(runs: readonly Run[]): Promise<void> {
  const ages = await Promise.all(runs.map((run) => run.age()));
  const start = Math.max(...ages) + 0.2;
  for (const [index, run] of runs.entries()) run.waitSeconds = start - ages[index]!;
}

class Run {
  /** Before the transfer begins. */
  waitSeconds = 0;
  readonly variant: ReplayVariant;
  readonly #options: ReplayOptions;
  readonly #paths: TestbedPaths;
  readonly #testbed: string;
  readonly #captures: RecordingFile[] = [];
  readonly #imageFile: string;
  #octets = 0;
  #startedAt: number | undefined;
  #clientSeconds = 0;
  #problem: string | undefined;
  #done = false;
  #touched = false;

  constructor(variant: ReplayVariant, options: ReplayOptions) {
    this.variant = variant;
    this.#options = options;
    this.#testbed = `${options.name}-${variant.key}`;
    this.#paths = testbedPaths(this.#testbed);
    this.#imageFile = join(options.directory, `${variant.key}-${options.image.name}`);
  }

  async bringUp(): Promise<void> {
    const { scenarioText, scenarioFile, seed, bitErrorRate, image, signal, note } = this.#options;
    const document = parse(scenarioText);
    document.tcp = this.variant.tcp;
    // The flight's figures are those of the transfer alone.
    for (const node of Object.values<Record<string, unknown>>(document.nodes))
      for (const service of ['ntp', 'telemetry', 'command']) delete node[service];
    document.nodes.spacecraft.ftp ??= {};
    document.nodes.spacecraft.camera = { images: [image] };
    for (const link of Object.values<Record<string, Record<string, unknown>>>(document.links))
      link.down = { ...link.down, ber: bitErrorRate };
    const scenario = parseScenario(stringify(document), {
      name: this.#testbed,
      seed: String(seed),
      file: scenarioFile,
    });
    this.#touched = true;
    try {
      await bringUp(scenario, { scenarioFile, attached: true, signal, progress: () => {} });
    } catch (error) {
      // Nothing was made, or it was removed again; one of this name that was there before is not ours.
      this.#touched = false;
      throw error;
    }
    note(`${this.#testbed}: up (${this.variant.title})`);
    const link = join(this.#options.directory, `${this.variant.key}-link.pcapng`);
    const spacecraft = join(this.#options.directory, `${this.variant.key}-spacecraft.pcapng`);
    this.#captures.push(new RecordingFile(this.#paths.controlSocket, link, {}));
    this.#captures.push(new RecordingFile(this.#paths.controlSocket, spacecraft, { at: 'spacecraft' }));
    await Promise.all(this.#captures.map((capture) => capture.begun));
  }

  /** Seconds since its data plane started. */
  async age(): Promise<number> {
    const status = (await controlRequest(this.#paths.controlSocket, 'status')) as { dataPlane: DataPlaneStatus };
    return status.dataPlane.uptimeSeconds;
  }

  async fetch(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.waitSeconds * 1000));
    this.#options.signal.throwIfAborted();
    const started = performance.now();
    this.#startedAt = started;
    const { image, limitSeconds, signal } = this.#options;
    const namespace = `${this.#testbed}-control`;
    const client = spawn(
      'ip',
      [
        ...['netns', 'exec', namespace, 'curl', '--silent', '--show-error', '--no-buffer'],
        ...['--max-time', String(limitSeconds), '--output', this.#imageFile, `ftp://spacecraft/${image.name}`],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const kill = (): void => void client.kill('SIGTERM');
    signal.addEventListener('abort', kill, { once: true });
    const watch = setInterval(() => void this.#look(), PROGRESS_MILLISECONDS);
    const problem = await ended(client);
    clearInterval(watch);
    signal.removeEventListener('abort', kill);
    this.#clientSeconds = (performance.now() - started) / 1000;
    this.#problem = problem;
    await this.#look();
    this.#done = true;
  }

  progress(): TransferProgress {
    const seconds = this.#startedAt === undefined ? 0 : (performance.now() - this.#startedAt) / 1000;
    return {
      variant: this.variant,
      octets: this.#octets,
      ofOctets: this.#options.image.octets,
      seconds: this.#done ? this.#clientSeconds : seconds,
      done: this.#done,
    };
  }

  async finish(): Promise<ReplayResult> {
    const { image, directory } = this.#options;
    const status = (await controlRequest(this.#paths.controlSocket, 'status')) as { dataPlane: DataPlaneStatus };
    const link = status.dataPlane.links[0]!;
    await Promise.all(this.#captures.map((capture) => capture.end()));
    const original = join(nodeStateDirectory(this.#paths, 'spacecraft'), 'files', image.name);
    const sent = digest(await readFile(original));
    const received = await readFile(this.#imageFile).then(digest, () => undefined);
    await copyFile(this.#paths.daemonLog, join(directory, `${this.variant.key}-daemon.log`)).catch(() => {});
    const [linkFile, spacecraft] = this.#captures.map((capture) => capture.file);
    return {
      variant: this.variant,
      complete: sent === received,
      problem: this.#problem,
      clientSeconds: this.#clientSeconds,
      transfer: await reportTransfer(linkFile!, {
        link: link.name,
        direction: 'down',
        linkBitPerSecond: link.down.rateBitPerSecond,
      }),
      downlinkBitPerSecond: link.down.rateBitPerSecond,
      bitErrors: link.down.counters.bitErrors ?? 0,
      sha256: { sent, received },
      files: { link: linkFile!, spacecraft: spacecraft!, image: this.#imageFile },
    };
  }

  async remove(): Promise<void> {
    if (!this.#touched) return;
    await Promise.all(this.#captures.map((capture) => capture.end()));
    const lock = await takeLock(this.#paths);
    if (lock === undefined)
      throw new OmniError('OMNI_TESTBED_BUSY', `another omni command works on '${this.#testbed}'`);
    try {
      await removeTestbed(this.#paths, { purge: true });
    } finally {
      lock.release();
    }
  }

  async #look(): Promise<void> {
    this.#octets = (await stat(this.#imageFile).catch(() => undefined))?.size ?? 0;
  }
}

/** A capture of the running testbed into a file. */
class RecordingFile {
  readonly file: string;
  /** Settles when the recorder has answered, so that nothing that is sent from then on is missed. */
  readonly begun: Promise<void>;
  readonly #abort = new AbortController();
  readonly #copying: Promise<void>;

  constructor(controlSocket: string, file: string, selection: object) {
    this.file = file;
    let begin: () => void = () => {};
    this.begun = new Promise((resolve) => {
      begin = resolve;
    });
    const stream = controlStream(controlSocket, 'capture', selection, this.#abort.signal);
    this.#copying = this.#copy(stream, () => begin()).finally(() => begin());
    this.#copying.catch(() => {});
  }

  async #copy(stream: AsyncIterable<unknown>, begun: () => void): Promise<void> {
    const output = createWriteStream(this.file);
    try {
      for await (const piece of stream) {
        begun();
        if (!output.write(Buffer.from(String(piece), 'base64')))
          await new Promise<void>((resolve) => output.once('drain', () => resolve()).once('error', () => resolve()));
      }
    } finally {
      await new Promise<void>((resolve) => output.end(() => resolve()));
    }
  }

  /** Ends the capture; the file is whole when this resolves. Does not throw for a daemon that is gone. */
  async end(): Promise<void> {
    this.#abort.abort();
    await this.#copying.catch(() => {});
  }
}

/** What a client said on stderr when it failed, undefined when it did not. */
function ended(client: ChildProcess): Promise<string | undefined> {
  let said = '';
  client.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  return new Promise((resolve) => {
    client.once('error', (error) => resolve(error.message));
    client.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : said.trim() || `ended with ${signal ?? code}`),
    );
  });
}

const digest = (octets: Uint8Array): string => createHash('sha256').update(octets).digest('hex');

/** Makes the directory for the output; an existing one is reused. */
export async function makeOutputDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (cause) {
    throw new OmniError('OMNI_OUTPUT', `cannot make the directory ${directory}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
