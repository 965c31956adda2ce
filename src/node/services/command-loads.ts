/**
 * Command loads that came by mail, as the command processor carries them out. The mail relay has checked who signed a load and left
 * `ID.load` (telecommands one behind the other) with its order `ID.json`; here each telecommand goes to the command receiver, at once
 * or tagged with the order's time, and what became of it is kept in `ID.result.json` and told by mail when the last one has ended.
 *
 * A load's commands wait in the receiver's schedule, which is on disk and gives one up at a time: a crash loses the command in hand and
 * no other, and repeats none. A result is on disk before its first command is submitted, and after a crash what has no outcome is
 * submitted again, for the replay window to judge; what was accepted and whose end is on no record is told as `unknown`.
 * Counters are used up when the load comes, not when its time does, so later commands do not push it out of the window.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AT_ONCE,
  type CommandReceiver,
  type Hmac,
  interpret,
  LARGEST_COMMAND_OCTETS,
  parseTelecommand,
  type StageReport,
} from '../../apps/command/index.ts';
import { parseSpacePackets, SPACECRAFT } from '../../apps/telemetry/index.ts';
import type { WallTime } from '../../core/index.ts';
import type { LoadCommand, LoadResult } from '../../io/command-load-mail.ts';
import { writeWholeFile } from '../../io/whole-file.ts';

const LARGEST_SEQUENCE_OCTETS = 256 * LARGEST_COMMAND_OCTETS;
/** No connection: reports of refused copies come all the same. */
const VIA_LOADS = 0;
const SHOWN = 10;

/** Telecommands one behind the other, as a file or a mail attachment holds them. Throws with what is wrong, for people. */
export function sequenceOf(octets: Uint8Array): Uint8Array[] {
  if (octets.length > LARGEST_SEQUENCE_OCTETS) throw new Error(`a sequence of ${octets.length} octets is too long`);
  const parsed = parseSpacePackets(octets);
  if (!parsed.ok) throw new Error(`not a sequence of telecommands: ${parsed.reason}`);
  return parsed.value.map((packet) => Uint8Array.from(packet.octets));
}

export interface CommandLoadsOptions {
  folder(): Promise<string>;
  readonly receiver: Pick<CommandReceiver, 'outcomeOf' | 'holds' | 'scheduleRoom'>;
  readonly keys: ReadonlyMap<number, Hmac>;
  submit(octets: Uint8Array, via: number, executeAt: WallTime): void;
  /** Tells the result by mail; false while nobody can. May be asked again for one id, after a crash. */
  report(id: string, result: LoadResult): Promise<boolean>;
  log(line: string): void;
}

interface Load {
  readonly file: string;
  readonly packets: readonly Uint8Array[];
  readonly executeAt: WallTime;
  readonly resumed: boolean;
  result: LoadResult;
  saving: Promise<void>;
  dirty: boolean;
}

export class CommandLoads {
  readonly #options: CommandLoadsOptions;
  /** Those that are not done, or not told. */
  readonly #open = new Map<string, Load>();
  readonly #settled = new Set<string>();
  readonly #shown: Record<string, unknown>[] = [];
  #submitting: { readonly load: Load; readonly at: number } | undefined;
  #closed = false;

  constructor(options: CommandLoadsOptions) {
    this.#options = options;
  }

  /** Takes what is new and goes on with what is open; once a second is enough. */
  async look(): Promise<void> {
    const folder = await this.#options.folder();
    const ids = (await readdir(folder).catch(() => []))
      .filter((name) => name.endsWith('.load'))
      .map((name) => name.slice(0, -'.load'.length))
      .sort();
    for (const id of ids) if (!this.#settled.has(id) && !this.#open.has(id)) await this.#take(folder, id);
    for (const [id, load] of this.#open) if (isDone(load.result)) await this.#tell(id, load);
  }

  /** A stage of whatever command; those of loads are noted. */
  note(report: StageReport): void {
    // What is answered to a submission at once is a refusal, or what became of an earlier copy: no stage of this one.
    if (this.#submitting !== undefined) {
      const { load, at } = this.#submitting;
      this.#change(
        load,
        at,
        outcomeOf(load.resumed || report.stage === 'acceptanceFailure' ? report : COPY, load.resumed),
      );
      return;
    }
    for (const load of this.#open.values()) {
      const at = load.result.commands.findIndex((c) => isOf(c, report));
      if (at >= 0) this.#change(load, at, outcomeOf(report, load.resumed));
    }
  }

  status(): readonly Record<string, unknown>[] {
    return [...this.#shown, ...[...this.#open].map(([id, { result }]) => ({ id, ...summary(result) }))];
  }

  /** Resolves when what was noted is on disk. */
  async saved(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ saving }) => saving));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.saved();
  }

  async #take(folder: string, id: string): Promise<void> {
    const { log } = this.#options;
    const order = await json<{ accepted?: unknown; runAt?: unknown }>(join(folder, `${id}.json`));
    // The mail relay writes the order behind the load.
    if (order === undefined) return;
    const runAt = order === 'damaged' ? Number.NaN : order.runAt == null ? undefined : Date.parse(String(order.runAt));
    if (order === 'damaged' || order.accepted !== true || Number.isNaN(runAt)) {
      this.#settled.add(id);
      log(`command load=${id} ignored: its order is ${order === 'damaged' ? 'damaged' : 'not one to run it'}`);
      return;
    }
    const file = join(folder, `${id}.result.json`);
    const before = await json<LoadResult>(file);
    if (before !== undefined && before !== 'damaged' && before.reported) {
      this.#settled.add(id);
      return;
    }
    const executeAt = runAt === undefined ? AT_ONCE : ((BigInt(runAt) * 1_000_000n) as WallTime);
    const known = before === undefined || before === 'damaged' ? undefined : before;
    const load = await this.#read(join(folder, `${id}.load`), file, executeAt, known);
    if (known === undefined) await writeWholeFile(file, `${JSON.stringify(load.result)}\n`);
    this.#open.set(id, load);
    log(
      `command load=${id} commands=${load.result.commands.length} run=${order.runAt ?? 'now'} resumed=${load.resumed}`,
    );
    this.#carryOut(load);
  }

  async #read(path: string, file: string, executeAt: WallTime, known?: LoadResult): Promise<Load> {
    const common = { file, executeAt, resumed: known !== undefined, saving: Promise.resolve(), dirty: false };
    try {
      const packets = sequenceOf(await readFile(path));
      const room = this.#options.receiver.scheduleRoom;
      if (known === undefined && packets.length > room)
        throw new Error(`it has ${packets.length} commands; the schedule has room for ${room}`);
      const result = known ?? { commands: packets.map((packet) => this.#described(packet)) };
      return { ...common, packets, result };
    } catch (error) {
      return { ...common, packets: [], result: known ?? { refusal: (error as Error).message, commands: [] } };
    }
  }

  #described(packet: Uint8Array): LoadCommand {
    const parsed = parseTelecommand(SPACECRAFT, packet, this.#options.keys);
    if (!parsed.ok) return { name: '?', keyId: 0, counter: '', outcome: 'refused', detail: parsed.reason };
    const { keyId, counter, opcode, executeAt } = parsed.value;
    const meaning = interpret(SPACECRAFT, parsed.value);
    const name = meaning.ok ? meaning.value.definition.name : `opcode ${opcode}`;
    const own = executeAt === undefined ? {} : { ownTime: true as const };
    return { name, keyId, counter: String(counter), outcome: 'pending', detail: '', ...own };
  }

  #carryOut(load: Load): void {
    const { receiver, submit } = this.#options;
    for (const [at, command] of load.result.commands.entries()) {
      const { keyId, counter, outcome } = command;
      if (isFinal(command)) continue;
      // After a crash: it ended while nobody looked, or waits in the schedule, or never came there, or is lost.
      const last = load.resumed ? receiver.outcomeOf(keyId, BigInt(counter)) : undefined;
      if (last !== undefined) this.#change(load, at, outcomeOf(last, true));
      else if (load.resumed && receiver.holds(keyId, BigInt(counter)))
        this.#change(load, at, { outcome: 'accepted', detail: '' });
      else if (outcome === 'pending') {
        this.#submitting = { load, at };
        submit(load.packets[at]!, VIA_LOADS, load.executeAt);
        this.#submitting = undefined;
      } else this.#change(load, at, LOST);
    }
  }

  #change(load: Load, at: number, change: Pick<LoadCommand, 'outcome' | 'detail'>): void {
    const { commands } = load.result;
    if (isFinal(commands[at]!)) return;
    load.result = { ...load.result, commands: commands.with(at, { ...commands[at]!, ...change }) };
    this.#save(load);
  }

  #save(load: Load): void {
    if (load.dirty || this.#closed) return;
    load.dirty = true;
    load.saving = load.saving.then(async () => {
      load.dirty = false;
      await writeWholeFile(load.file, `${JSON.stringify(load.result)}\n`);
    });
    load.saving.catch((error) => this.#options.log(`command load result not saved: ${(error as Error).message}`));
  }

  async #tell(id: string, load: Load): Promise<void> {
    const { report, log } = this.#options;
    await load.saving;
    if (!(await report(id, load.result))) return;
    load.result = { ...load.result, reported: true };
    await writeWholeFile(load.file, `${JSON.stringify(load.result)}\n`);
    this.#open.delete(id);
    this.#settled.add(id);
    const about = summary(load.result);
    this.#shown.push({ id, ...about });
    if (this.#shown.length > SHOWN) this.#shown.shift();
    log(
      `command load=${id} done ${Object.entries(about)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(' ')}`,
    );
  }
}

const isOf = (command: LoadCommand, { keyId, counter }: StageReport): boolean =>
  command.keyId === keyId && command.counter === String(counter);

/** A command with a time of its own is the schedule's business once it is accepted; its end goes into telemetry. */
const isFinal = ({ outcome, ownTime }: LoadCommand): boolean =>
  outcome === 'accepted' ? ownTime === true : outcome !== 'pending' && outcome !== 'started';

const isDone = ({ commands }: LoadResult): boolean => commands.every(isFinal);

const LOST = { outcome: 'unknown', detail: 'accepted; the processor ended before its end was on record' } as const;
const COPY = { stage: 'acceptanceFailure', refusal: 'replayed', detail: '' } as const;

function outcomeOf(
  { stage, refusal, detail }: Pick<StageReport, 'stage' | 'refusal' | 'detail'>,
  resumed: boolean,
): Pick<LoadCommand, 'outcome' | 'detail'> {
  switch (stage) {
    case 'acceptance':
      return { outcome: 'accepted', detail };
    case 'start':
      return { outcome: 'started', detail };
    case 'completion':
      return { outcome: 'completed', detail };
    case 'completionFailure':
      return { outcome: 'failed', detail };
    default:
      // After a crash a copy of what was accepted before it.
      if (resumed && (refusal === 'replayed' || refusal === 'outOfWindow')) return LOST;
      return { outcome: 'refused', detail: refusal };
  }
}

function summary({ refusal, commands }: LoadResult): Record<string, unknown> {
  if (refusal !== undefined) return { refusal };
  const counts: Record<string, number> = {};
  for (const { outcome } of commands) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return { commands: commands.length, ...counts };
}

/** Undefined: there is no such file. */
async function json<Content>(path: string): Promise<Content | 'damaged' | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Content;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'damaged';
  }
}
