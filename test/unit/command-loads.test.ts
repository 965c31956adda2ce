/**
 * Command loads that came by mail, between a real folder and the real command receiver: run at once and at their time, over crashes
 * at every step, refused when they are not to be run. Only the clock and what commands do are the test's.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CommandReceiver, type ReceiverEvent, type ReceiverState } from '../../src/apps/command/index.ts';
import { SPACECRAFT } from '../../src/apps/telemetry/index.ts';
import { instant, seconds, type WallTime } from '../../src/core/index.ts';
import type { LoadResult } from '../../src/io/command-load-mail.ts';
import { CommandLoads } from '../../src/node/services/command-loads.ts';
import { KEYS, telecommand } from '../support/command.ts';

const EPOCH = Date.parse('2026-11-21T12:00:00Z');
const iso = (s: number) => new Date(EPOCH + s * 1000).toISOString();

/** A process of the spacecraft: what it did and told is kept outside, as is the disk; a crash is to use it no more. */
class Processor {
  readonly receiver: CommandReceiver;
  readonly loads: CommandLoads;
  #dead = false;
  readonly #later: ReceiverEvent[] = [];

  readonly world: World;

  constructor(world: World) {
    this.world = world;
    this.receiver = new CommandReceiver({
      dictionary: SPACECRAFT,
      keys: KEYS,
      scheduleLength: 4,
      lateSeconds: 60,
      time: () => (BigInt(Math.round(EPOCH + world.seconds * 1000)) * 1_000_000n) as WallTime,
      now: instant(seconds(world.seconds)),
      ...(world.state !== undefined && { state: world.state }),
    });
    this.loads = new CommandLoads({
      folder: async () => world.folder,
      receiver: this.receiver,
      keys: KEYS,
      submit: (octets, via, executeAt) => {
        this.step('submit');
        this.receiver.handleInput({ kind: 'packet', octets, via, executeAt }, this.#now());
        // As the socket does: what is refused is answered before this returns, what is accepted when it is on disk.
        this.#drain((event) => event.kind === 'report');
      },
      report: async (id, result) => {
        this.step('report');
        world.told.push({ id, result });
        this.step('told');
        return true;
      },
      log: (line) => world.log.push(line),
    });
    this.#drain();
  }

  #now() {
    return instant(seconds(this.world.seconds));
  }

  /** A place where the process may end. */
  step(name: string): void {
    if (this.#dead) throw new Error('dead');
    this.world.steps.push(name);
    if (this.world.steps.length - 1 !== this.world.crashAt) return;
    this.#dead = true;
    throw new Error('crash');
  }

  /** Runs until nothing more is to be done at this time; false when it crashed. */
  async run(): Promise<boolean> {
    try {
      for (let before = ''; before !== this.#fingerprint(); ) {
        before = this.#fingerprint();
        this.receiver.handleTimeout(this.#now());
        this.#drain();
        await this.loads.look();
        this.#drain();
        await this.loads.saved();
      }
      return true;
    } catch (error) {
      if (!this.#dead) throw error;
      await this.loads.close();
      return false;
    }
  }

  #fingerprint(): string {
    const { world } = this;
    return `${world.steps.length} ${world.told.length} ${JSON.stringify(this.loads.status())}`;
  }

  #drain(now: (event: ReceiverEvent) => boolean = () => true): void {
    const events = [...this.#later.splice(0), ...this.#events()];
    for (const event of events)
      if (now(event)) this.#handle(event);
      else this.#later.push(event);
  }

  *#events() {
    for (let event = this.receiver.pollEvent(); event !== undefined; event = this.receiver.pollEvent()) yield event;
  }

  #handle(event: ReceiverEvent): void {
    const { world } = this;
    if (event.kind === 'save') {
      this.step('save');
      world.state = event.state;
      this.step('saved');
      this.receiver.handleInput({ kind: 'saved', version: event.version }, this.#now());
    } else if (event.kind === 'execute') {
      this.step('execute');
      world.done.push(`${event.definition.name} ${iso(world.seconds).slice(11, 19)}`);
      this.step('executed');
      const { execution } = event;
      this.receiver.handleInput({ kind: 'done', execution, ok: true, detail: 'done' }, this.#now());
    } else this.loads.note(event.report);
  }
}

interface World {
  folder: string;
  seconds: number;
  state: ReceiverState | undefined;
  readonly done: string[];
  readonly told: { id: string; result: LoadResult }[];
  readonly log: string[];
  steps: string[];
  crashAt: number;
}

let world: World;
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'omni-loads-'));
  world = { folder, seconds: 0, state: undefined, done: [], told: [], log: [], steps: [], crashAt: -1 };
});
afterEach(() => rmSync(world.folder, { recursive: true }));

const put = (
  id: string,
  octets: Uint8Array | readonly Uint8Array[],
  order: object = { accepted: true, runAt: null },
) => {
  writeFileSync(
    join(world.folder, `${id}.load`),
    Array.isArray(octets) ? Buffer.concat(octets) : (octets as Uint8Array),
  );
  writeFileSync(join(world.folder, `${id}.json`), JSON.stringify(order));
};
const at = (s: number) => ({ accepted: true, runAt: iso(s) });
const outcomes = (id: string) =>
  world.told.find((t) => t.id === id)?.result.commands.map((c) => `${c.name} ${c.outcome}`);
const THREE = [
  telecommand('ping', {}, 1),
  telecommand('ntp', { on: 'off' }, 2),
  telecommand('camera-take', { octets: '0' }, 3),
];

describe('a load', () => {
  test('to run at once is run in order, once, and its result told once', async () => {
    put('a', THREE);
    const processor = new Processor(world);
    await processor.run();
    await processor.run();
    expect(world.done.map((d) => d.split(' ')[0])).toEqual(['ping', 'ntp', 'camera-take']);
    expect(outcomes('a')).toEqual(['ping completed', 'ntp completed', 'camera-take completed']);
    // A new process finds it done.
    await new Processor(world).run();
    expect([world.done.length, world.told.length]).toEqual([3, 1]);
  });

  test('with a time is run at it, not before, also when the process was restarted in between', async () => {
    put('a', THREE, at(100));
    const first = new Processor(world);
    await first.run();
    world.seconds = 99;
    await first.run();
    expect([world.done, world.told]).toEqual([[], []]);
    const second = new Processor(world);
    await second.run();
    world.seconds = 100;
    await second.run();
    expect(world.done).toEqual(['ping 12:01:40', 'ntp 12:01:40', 'camera-take 12:01:40']);
    expect(outcomes('a')).toEqual(['ping completed', 'ntp completed', 'camera-take completed']);
  });

  test('that waits is not overtaken: a hundred later commands do not push its counters out of the window', async () => {
    put('a', THREE, at(100));
    const processor = new Processor(world);
    await processor.run();
    for (let counter = 10; counter < 110; counter++) put(`b${counter}`, telecommand('ping', {}, counter));
    await processor.run();
    world.seconds = 100;
    await processor.run();
    expect(world.done.slice(-3).map((d) => d.split(' ')[0])).toEqual(['ping', 'ntp', 'camera-take']);
  });

  test('is not run when the spacecraft was off at its time, and says so; nor when it comes too late', async () => {
    put('a', THREE, at(100));
    await new Processor(world).run();
    world.seconds = 161;
    const processor = new Processor(world);
    await processor.run();
    put('b', telecommand('ping', {}, 9), at(100));
    await processor.run();
    expect(world.done).toEqual([]);
    expect(world.told.find((t) => t.id === 'a')!.result.commands.map((c) => c.detail)).toEqual([
      'late',
      'late',
      'late',
    ]);
    expect(outcomes('b')).toEqual(['ping refused']);
  });

  test.each([
    ['refused by the mailbox', { accepted: false, reason: 'replayed', runAt: null }],
    ['without an order', {}],
    ['with a time that is none', { accepted: true, runAt: 'soon' }],
  ])('%s is never run, and holds up no other', async (_what, order) => {
    put('a', THREE, order);
    put('b', telecommand('ping', {}, 9));
    writeFileSync(join(world.folder, '0.load'), 'its order is not written yet');
    writeFileSync(join(world.folder, '1.load'), 'x');
    writeFileSync(join(world.folder, '1.json'), '{ damaged');
    await new Processor(world).run();
    expect(world.done.map((d) => d.split(' ')[0])).toEqual(['ping']);
    expect(world.told.map(({ id }) => id)).toEqual(['b']);
  });

  test('to run at once waits for the process, however long', async () => {
    put('a', THREE);
    world.crashAt = 5;
    await new Processor(world).run();
    expect(world.done.length).toBeLessThan(3);
    world.seconds = 1e6;
    await new Processor(world).run();
    expect(world.done.at(-1)).toMatch(/^camera-take/);
  });

  test('that is no sequence of telecommands, or one too many for the schedule, is refused whole', async () => {
    put('a', Buffer.from('reboot please'));
    put(
      'c',
      [1, 2, 3, 4, 5].map((n) => telecommand('ping', {}, n)),
      at(100),
    );
    put('d', new Uint8Array(300_000));
    await new Processor(world).run();
    expect(world.done).toEqual([]);
    expect(world.told.map(({ result }) => result.refusal)).toEqual([
      expect.stringMatching(/^not a sequence of telecommands/),
      'it has 5 commands; the schedule has room for 4',
      'a sequence of 300000 octets is too long',
    ]);
  });

  test('tells of each command what became of it; a copy is not run, nor told as run', async () => {
    const forged = telecommand('ping', {}, 5).slice();
    forged[forged.length - 1]! ^= 1;
    const tagged = telecommand('ping', {}, 6, { executeAt: (BigInt(EPOCH + 1e9) * 1_000_000n) as WallTime });
    put('a', [THREE[0]!, THREE[0]!, forged, tagged]);
    put('b', [THREE[0]!]);
    await new Processor(world).run();
    expect(outcomes('a')).toEqual(['ping completed', 'ping refused', '? refused', 'ping accepted']);
    expect(outcomes('b')).toEqual(['ping refused']);
    expect(world.done).toHaveLength(1);
  });
});

describe.each([
  ['to run at once', undefined],
  ['with a time', 100],
])('a load %s, and a crash at each step', (_what, time) => {
  test('no command is carried out twice; none is lost but the one in hand; the result is told', async () => {
    const lost: number[] = [];
    let steps = Number.POSITIVE_INFINITY;
    for (let crashAt = 0; crashAt < steps; crashAt++) {
      const folder = join(world.folder, String(crashAt));
      mkdirSync(folder);
      const outer = world;
      world = { folder, seconds: 0, state: undefined, done: [], told: [], log: [], steps: [], crashAt };
      put('a', THREE, time === undefined ? undefined : at(time));
      let crashed = false;
      let processor: Processor | undefined;
      for (let tries = 0; tries < 4; tries++) {
        try {
          processor ??= new Processor(world);
          if (await processor.run()) world.seconds = time ?? 0;
          else processor = undefined;
        } catch (error) {
          if ((error as Error).message !== 'crash') throw error;
          processor = undefined;
        }
        crashed ||= processor === undefined;
      }
      if (!crashed) steps = 0;
      const names = world.done.map((d) => d.split(' ')[0]!);
      expect(new Set(names).size, `crash at ${crashAt}: ${names}`).toBe(names.length);
      expect(names).toEqual(THREE_NAMES.filter((n) => names.includes(n)));
      expect(world.told.length, `crash at ${crashAt}`).toBeGreaterThan(0);
      const { commands } = world.told.at(-1)!.result;
      lost.push(THREE_NAMES.length - names.length);
      for (const [i, name] of THREE_NAMES.entries()) {
        const outcome = commands[i]!.outcome;
        if (!names.includes(name)) expect(outcome, `crash at ${crashAt}`).toBe('unknown');
        else expect(['completed', 'unknown']).toContain(outcome);
      }
      world = outer;
    }
    // Only the one in hand: it had left the schedule, and the record of its end was not on disk.
    expect(Math.max(...lost)).toBe(1);
  });
});
const THREE_NAMES = ['ping', 'ntp', 'camera-take'];
