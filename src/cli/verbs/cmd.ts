/** `omni cmd`: telecommands to a spacecraft: blind, reliable, time-tagged, or into a file. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import {
  COMMAND_PORT,
  type CommandSettings,
  commandKey,
  emitTelecommand,
  encodeArguments,
} from '../../apps/command/index.ts';
import { type CommandDefinition, SPACECRAFT, typeText } from '../../apps/telemetry/index.ts';
import { toHex, type WallTime } from '../../core/index.ts';
import { commandKeys } from '../../io/command-keys.ts';
import { sendBlind, sendReliable, takeCounters } from '../../io/command-sender.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { requireRoot } from '../../testbed/preconditions.ts';
import { findNode, readScenario, type TestbedState } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { insideNamespace, reenter, testbedWith } from '../transfer-testbed.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface Options {
  key?: string;
  from?: string;
  testbed?: string;
  counterFile?: string;
  blind?: boolean;
  copies: string;
  at?: string;
  out?: string;
  dryRun?: boolean;
  timeout: string;
  yes?: boolean;
  json?: boolean;
  list?: boolean;
  complete?: boolean;
}

export function command() {
  return verb('cmd', 'Send a command to a spacecraft. Authenticated; carried out once, however often it is sent.', [
    'omni cmd --list                                                   # commands and their arguments',
    'omni cmd spacecraft ping                                          # in a running testbed: from its control centre, by its key',
    'omni cmd spacecraft clock-adjust seconds=3.25 --blind --copies 5',
    'omni cmd spacecraft camera-take octets=0 --at 2026-11-21T18:00:00Z',
    'omni cmd spacecraft mode mode=safe --out pass.tc                  # into a file, to upload or mail',
    'omni cmd 192.0.2.7 ping --key @key.txt                            # any other spacecraft: reliable: TCP, waits for completion',
    'omni cmd keygen                                                   # a new key',
    'complete -C "omni cmd --complete" omni                            # completion in bash',
  ])
    .argument('[node]', "address or name, with :port when it is not 11021; 'keygen' makes a key")
    .argument('[command]', 'which command')
    .argument('[arguments...]', 'name=value')
    .option(
      '--key <id:hex>',
      "HMAC-SHA-256 key; @FILE reads it from a file. Else $OMNI_COMMAND_KEY, else the testbed's",
    )
    .option('--from <node>', 'testbed: the node that sends it; default: the control centre, else a ground station')
    .option('--testbed <name>', 'which testbed, when several have such a node')
    .option('--counter-file <file>', 'where the counters of keys are kept')
    .option('--blind', 'send in UDP and expect nothing')
    .option('--copies <n>', 'blind: send so many times; it is carried out once', '3')
    .option('--at <time>', 'carry it out at this time (ISO 8601, spacecraft clock)')
    .option('--out <file>', 'append it to a file instead of sending it')
    .option('--dry-run', 'print the packet; send nothing and use up no counter')
    .option('--timeout <seconds>', 'reliable: how long to try', '30')
    .option('--yes', 'do not ask before a hazardous command')
    .option('--json', 'print JSON')
    .option('--list', 'list commands and their arguments')
    .option('--complete', 'print completions for bash (COMP_LINE)')
    .action(run);
}

async function run(
  node: string | undefined,
  name: string | undefined,
  given: string[],
  options: Options,
): Promise<void> {
  if (options.complete) return complete();
  if (options.list) return list(options);
  if (node === 'keygen') {
    process.stdout.write(`1:${randomBytes(32).toString('hex')}\n`);
    return;
  }
  if (node === undefined || name === undefined)
    throw new VerbError(EXIT.usage, 'which node and which command?', 'omni cmd --list lists commands.');
  const definition = definitionOf(name);
  const argumentOctets = argumentsOf(definition, given);
  const executeAt = timeOf(options.at);
  const { host, port } = parseHostPort(node, COMMAND_PORT);
  const testbed = await testbedWith([host], options.testbed);
  const sends = options.out === undefined && options.dryRun !== true;
  if (testbed !== undefined && sends && !insideNamespace(testbed)) {
    requireRoot("the sender's namespace is entered");
    process.exitCode = await reenter(testbed, options.from);
    return;
  }
  const key = readKey(options.key ?? process.env.OMNI_COMMAND_KEY ?? keyIn(testbed, host));
  const packetWith = (counter: bigint) =>
    emitTelecommand(
      SPACECRAFT,
      { keyId: key.id, counter, executeAt, opcode: definition.opcode, argumentOctets },
      commandKeys([key]).get(key.id)!,
    );
  if (options.dryRun) {
    const octets = packetWith(1n);
    const summary = {
      node: host,
      port,
      command: name,
      arguments: given,
      executeAt: options.at ?? 'at once',
      octets: octets.length,
      packet: toHex(octets),
    };
    if (options.json) printJson(summary);
    else
      process.stdout.write(
        `${name} ${given.join(' ')} for ${host} port ${port}, ${summary.executeAt}: ${octets.length} octets (with counter 1)\n${summary.packet}\n`,
      );
    return;
  }
  if (definition.hazardous && !options.yes)
    await confirm(`${name} ${given.join(' ')} is hazardous. Send it to ${host}? [y/N] `);
  const counter = await takeCounters(options.counterFile ?? defaultCounterFile(), key.id, 1);
  const octets = packetWith(counter);
  if (options.out !== undefined) {
    appendFileSync(options.out, octets);
    report(
      options,
      { command: name, counter: counter.toString(), file: options.out },
      `${name} with counter ${counter} appended to ${options.out}`,
    );
    return;
  }
  if (options.blind) {
    const copies = Math.max(1, Math.floor(Number(options.copies)) || 1);
    await sendBlind({ host, port, octets, copies, spacingMs: 200 });
    report(
      options,
      { command: name, counter: counter.toString(), sent: copies },
      `${name} with counter ${counter} sent ${copies}×, blind`,
    );
    return;
  }
  const stages: unknown[] = [];
  const last = await sendReliable({
    host,
    port,
    octets,
    counter,
    untilAccepted: executeAt !== undefined,
    timeoutMs: Number(options.timeout) * 1000,
    onStage: (stage) => {
      stages.push(stage);
      if (!options.json) process.stdout.write(`${stage.stage}${stage.detail === '' ? '' : `: ${stage.detail}`}\n`);
    },
  });
  if (options.json) printJson({ command: name, counter: counter.toString(), stages });
  if (last.stage.endsWith('Failure')) process.exitCode = EXIT.failure;
}

function report(options: Options, json: unknown, text: string): void {
  if (options.json) printJson(json);
  else note(text);
}

function definitionOf(name: string): CommandDefinition {
  const definition = SPACECRAFT.commands.find((c) => c.name === name);
  if (definition !== undefined) return definition;
  const near = SPACECRAFT.commands.find((c) => c.name.startsWith(name) || name.startsWith(c.name));
  throw new VerbError(
    EXIT.usage,
    `there is no command '${name}'`,
    near === undefined ? 'omni cmd --list lists them.' : `Did you mean '${near.name}'?`,
  );
}

function argumentsOf(definition: CommandDefinition, given: readonly string[]): Uint8Array {
  const values: Record<string, string> = {};
  for (const text of given) {
    const at = text.indexOf('=');
    if (at < 1) throw new VerbError(EXIT.usage, `'${text}' is not name=value`, usageOf(definition));
    values[text.slice(0, at)] = text.slice(at + 1);
  }
  const encoded = encodeArguments(definition, values);
  if (encoded.ok) return encoded.value;
  throw new VerbError(
    EXIT.usage,
    encoded.problems.map((p) => `${p.argument}: ${p.problem}`).join('; '),
    usageOf(definition),
  );
}

const usageOf = (definition: CommandDefinition): string =>
  `${definition.name} ${definition.arguments.map((a) => `${a.name}=(${typeText(a.type)})`).join(' ')}`.trimEnd();

/** The first key that the node of the testbed obeys. */
function keyIn(testbed: TestbedState | undefined, node: string): string | undefined {
  if (testbed === undefined) return undefined;
  const settings = findNode(readScenario(testbed.paths), node).services.command as CommandSettings | undefined;
  if (settings === undefined)
    throw new VerbError(
      EXIT.unavailable,
      `${node} obeys no commands`,
      'Give it command: { keys: […] } in the scenario; omni cmd keygen makes a key.',
    );
  const [key] = settings.keys;
  return key === undefined ? undefined : `${key.id}:${key.hmacSha256}`;
}

function readKey(text: string | undefined): { id: number; hmacSha256: string } {
  if (text === undefined)
    throw new VerbError(EXIT.usage, 'which key?', '--key ID:HEX, --key @FILE or $OMNI_COMMAND_KEY.');
  let content = text;
  if (text.startsWith('@')) {
    if (!existsSync(text.slice(1))) throw new VerbError(EXIT.dataError, `there is no key file ${text.slice(1)}`);
    content = readFileSync(text.slice(1), 'utf8').trim();
  }
  const [id, hmacSha256] = content.split(':');
  const parsed = commandKey.safeParse({ id: Number(id), hmacSha256 });
  // The key itself must not land in a log.
  if (!parsed.success)
    throw new VerbError(EXIT.dataError, 'the key is not ID:HEX with 32 octets or more', "'omni cmd keygen' makes one.");
  return parsed.data;
}

function timeOf(text: string | undefined): WallTime | undefined {
  if (text === undefined) return undefined;
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds))
    throw new VerbError(EXIT.usage, `'${text}' is not a time`, 'Write 2026-11-21T18:00:00Z.');
  return (BigInt(milliseconds) * 1_000_000n) as WallTime;
}

function defaultCounterFile(): string {
  const folder = join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'omni');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, 'command-counters.json');
}

async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new VerbError(EXIT.usage, 'this command is hazardous and nobody is here to confirm it', '--yes sends it.');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(question);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new VerbError(EXIT.failure, 'not sent');
}

function list(options: Options): void {
  if (options.json) {
    printJson(SPACECRAFT.commands);
    return;
  }
  for (const definition of SPACECRAFT.commands)
    process.stdout.write(
      `${usageOf(definition)}\n    ${definition.description}${definition.hazardous ? ' Hazardous: asks first.' : ''}\n`,
    );
}

/** Bash's `complete -C`: COMP_LINE holds the line so far; words are printed one a line. */
function complete(): void {
  const words = (process.env.COMP_LINE ?? '').slice(0, Number(process.env.COMP_POINT ?? 1e6)).split(/\s+/);
  const at = words.indexOf('cmd');
  const current = words.at(-1) ?? '';
  const position = words.length - 1 - at;
  const definition = SPACECRAFT.commands.find((c) => c.name === words[at + 2]);
  const candidates =
    position === 2
      ? SPACECRAFT.commands.map((c) => c.name)
      : (definition?.arguments.flatMap((a) =>
          a.type.kind === 'enumerated'
            ? a.type.labels.map((l) => `${a.name}=${l}`)
            : a.type.kind === 'boolean'
              ? [`${a.name}=on`, `${a.name}=off`]
              : [`${a.name}=`],
        ) ?? []);
  for (const candidate of candidates) if (candidate.startsWith(current)) process.stdout.write(`${candidate}\n`);
}
