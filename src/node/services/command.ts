/**
 * The command receiver of a spacecraft: what arrives in UDP, TCP or as files is checked, put on record and carried out by the actions
 * that the node's services offer; stages go into telemetry. Command loads that came by mail: command-loads.ts.
 *
 * In safe mode only commands that cannot make things worse are obeyed: ping, mode, clock, NTP, telemetry, reboot.
 */
import { copyFile, mkdir, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { commandSettings, type ReceiverEvent } from '../../apps/command/index.ts';
import { SPACECRAFT } from '../../apps/telemetry/index.ts';
import { OmniError } from '../../core/index.ts';
import { hostClock } from '../../io/clock.ts';
import { commandKeys } from '../../io/command-keys.ts';
import { CommandReceiverSocket } from '../../io/command-receiver.ts';
import { DurableDocument } from '../../io/command-store.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { type Action, onboard } from '../onboard.ts';
import type { Service, ServiceContext } from '../service.ts';
import { CommandLoads, sequenceOf } from './command-loads.ts';

const FOLDER_CHECK_MS = 1000;
const OBEYED_IN_SAFE_MODE = /^(ping|mode|reboot|clock\.|ntp\.|telemetry\.)/;

interface NodeState {
  readonly mode: 'safe' | 'nominal';
  readonly bootCount: number;
}

export async function startCommand(
  context: ServiceContext,
): Promise<Service & { handleRequest(method: string, params: unknown): unknown }> {
  const settings = commandSettings.parse(context.settings ?? {});
  const node = onboard(context);
  const document = new DurableDocument<NodeState>(join(context.stateDirectory, 'mode.json'));
  let state: NodeState = { mode: 'nominal', bootCount: 0, ...document.read() };
  state = { ...state, bootCount: (state.bootCount + 1) % 65_536 };
  await document.write(state);
  const files = join(context.stateDirectory, 'files');
  const { host, port } = parseHostPort(settings.listen, 0);
  let loads: CommandLoads | undefined;
  const own: Record<string, Action> = {
    ping: () => 'pong',
    mode: async ({ mode }) => {
      state = { ...state, mode: mode as NodeState['mode'] };
      await document.write(state);
      return `mode ${mode}`;
    },
    'file.dump': async ({ path }) => {
      const file = await insideOf(files, String(path));
      const outbox = join(context.stateDirectory, 'outbox');
      const name = basename(file);
      await copyFile(file, join(outbox, `.${name}.part`)).catch(() => {
        throw new Error(`${context.node} has no mail outbox`);
      });
      // The outbox takes whole files only.
      await rename(join(outbox, `.${name}.part`), join(outbox, name));
      return `${name} is in the outbox`;
    },
    'file.delete': async ({ path }) => {
      const file = await insideOf(files, String(path));
      await rm(file);
      return `deleted ${path}`;
    },
  };
  for (const [name, action] of Object.entries(own)) node.offer(name, action);
  const socket = await CommandReceiverSocket.start({
    dictionary: SPACECRAFT,
    keys: commandKeys(settings.keys),
    scheduleLength: settings.scheduleLength,
    lateSeconds: settings.lateSeconds,
    address: host,
    port,
    stateFile: join(context.stateDirectory, 'command.json'),
    instant: () => hostClock().instant(),
    wall: () => context.clock.now(),
    execute: (event) => execute(event),
    onReport: (report) => {
      void node.action('telemetry.report')?.({ ...report });
      loads?.note(report);
    },
    log: (line) => context.log(line),
  });
  loads = new CommandLoads({
    // The mail relay knows where its loads lie; it may start after us.
    folder: async () => (await node.action('mail.loads')?.({})) ?? join(context.stateDirectory, 'commands', 'loads'),
    receiver: socket.receiver,
    keys: commandKeys(settings.keys),
    submit: (octets, via, executeAt) => socket.submit(octets, via, executeAt),
    report: async (id, result) => {
      const send = node.action('mail.loadResult');
      if (send === undefined) return false;
      await send({ id, result });
      return true;
    },
    log: (line) => context.log(line),
  });
  const { counters } = socket.receiver;
  node.publish('command', () => ({
    mode: state.mode,
    bootCount: state.bootCount,
    commandsAccepted: counters.get('accepted'),
    commandsExecuted: counters.get('executed'),
    commandsRefused: counters.sum('refused.'),
    lastRefusal: socket.receiver.lastRefusal,
    highestCounter: socket.receiver.highestCounter,
  }));
  const folder = settings.folder === '' ? undefined : join(files, settings.folder);
  if (folder !== undefined) await mkdir(folder, { recursive: true });
  node.offer('command.sequence', ({ octets }) => submitSequence(socket, octets as Uint8Array));
  let looking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking
      .then(() => (folder === undefined ? undefined : takeSequences(folder, socket, context)))
      .then(() => loads?.look())
      .catch(() => {});
  }, FOLDER_CHECK_MS);

  async function execute({ definition, args }: Extract<ReceiverEvent, { kind: 'execute' }>): Promise<string> {
    if (state.mode === 'safe' && !OBEYED_IN_SAFE_MODE.test(definition.action)) throw new Error('not in safe mode');
    const action = node.action(definition.action);
    if (action === undefined) throw new Error(`nothing on ${context.node} offers ${definition.action}`);
    return action(args);
  }

  const status = () => ({ listening: socket.address(), ...state, ...socket.receiver.status(), loads: loads?.status() });
  return {
    name: 'command',
    status,
    handleRequest: (method) => {
      if (method === 'status') return status();
      throw new OmniError('OMNI_REQUEST', `the command receiver cannot '${method}'`);
    },
    close: async () => {
      clearInterval(timer);
      await looking;
      await loads?.close();
      for (const name of [...Object.keys(own), 'command.sequence']) node.withdraw(name);
      node.silence('command');
      await socket.close();
    },
  };
}

function submitSequence(socket: CommandReceiverSocket, octets: Uint8Array): string {
  const packets = sequenceOf(octets);
  for (const packet of packets) socket.submit(packet);
  return `${packets.length} commands submitted`;
}

/** A file that is taken is renamed first, so that it is never taken twice; the replay window would refuse it anyway. */
async function takeSequences(folder: string, socket: CommandReceiverSocket, context: ServiceContext): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.tc')).sort();
  for (const name of names) {
    const taken = join(folder, `${name}.done`);
    await rename(join(folder, name), taken);
    try {
      context.log(`command file=${JSON.stringify(name)} ${submitSequence(socket, await readFile(taken))}`);
    } catch (error) {
      await rename(taken, join(folder, `${name}.refused`));
      context.log(`command file=${JSON.stringify(name)} refused: ${(error as Error).message}`);
    }
  }
}

/** A file below `root`, links followed; throws when it is elsewhere or not there. */
async function insideOf(root: string, path: string): Promise<string> {
  const base = await realpath(root);
  const file = await realpath(resolve(base, `.${sep}${path}`)).catch(() => {
    throw new Error(`there is no file '${path}'`);
  });
  const below = relative(base, file);
  if (below === '' || below === '..' || below.startsWith(`..${sep}`))
    throw new Error(`'${path}' is not among the files`);
  return file;
}
