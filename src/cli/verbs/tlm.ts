/** `omni tlm`: record, follow, decode and export telemetry; the dictionary as XTCE and as a page. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import {
  CSV_HEADER,
  csvLine,
  decodeTelemetry,
  dictionaryPage,
  GapTracker,
  isoTime,
  parseSpacePacket,
  recordOf,
  rowsOf,
  SPACECRAFT,
  TELEMETRY_PORT,
  type TelemetryPacket,
  type TelemetrySettings,
  timeOf,
  xtceOf,
} from '../../apps/telemetry/index.ts';
import { Counters, type WallTime } from '../../core/index.ts';
import { hostClock } from '../../io/clock.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { readTelemetryLog, TelemetryLogReader } from '../../io/telemetry-log.ts';
import { TelemetryRecorder } from '../../io/telemetry-recorder.ts';
import { nodeStateDirectory } from '../../testbed/run-directory.ts';
import { findNode, readScenario, selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

export function command(): Command {
  const tlm = verb('tlm', 'Record, follow, decode and export telemetry (CCSDS space packets in UDP).', [
    'omni tlm record --dir ./telemetry                       # receive on UDP port 11020',
    'omni tlm show --follow --packet clock                   # in a running testbed: what its recorder has',
    'omni tlm show --dir ./telemetry --parameter housekeeping.busVoltage --csv > voltage.csv',
    'omni tlm gaps --dir ./telemetry',
    'omni tlm dictionary --xtce > omni.xtce.xml              # for Yamcs or OpenC3 COSMOS',
  ]);
  tlm.addCommand(recordCommand());
  tlm.addCommand(showCommand());
  tlm.addCommand(gapsCommand());
  tlm.addCommand(dictionaryCommand());
  return tlm;
}

const sub = (name: string, summary: string): Command =>
  new Command(name).description(summary).exitOverride().showHelpAfterError('(--help shows the options)');

function recordCommand(): Command {
  return sub('record', 'Receive telemetry and record it until Ctrl-C. Prints how many packets are safely stored.')
    .requiredOption('--dir <directory>', 'where to record; an earlier recording there is continued')
    .option('--listen <address:port>', 'address and port to receive on', `0.0.0.0:${TELEMETRY_PORT}`)
    .option('--group <address>', 'multicast group to join')
    .option('--segment-octets <n>', 'begin a new file after this many octets', Number, 64 * 1_048_576)
    .option('--acks', 'print a line on stdout after every commit: packets stored since the start')
    .option('--json', 'print a JSON line when ready and the status at the end')
    .action(async (options) => {
      const { host, port } = parseHostPort(options.listen, TELEMETRY_PORT);
      const recorder = await TelemetryRecorder.start({
        address: host,
        port,
        group: options.group,
        directory: options.dir,
        segmentOctets: options.segmentOctets,
        clock: hostClock(),
        ...(options.acks && { onStored: (stored: number) => process.stdout.write(`${stored}\n`) }),
      });
      const at = recorder.address();
      if (options.json) process.stdout.write(`${JSON.stringify({ listening: at })}\n`);
      else note(`recording telemetry from ${at.address} port ${at.port} in ${options.dir}; Ctrl-C ends it`);
      await new Promise<void>((resolve) => {
        process.once('SIGINT', resolve);
        process.once('SIGTERM', resolve);
      });
      const status = recorder.status();
      await recorder.close();
      if (options.json) process.stdout.write(`${JSON.stringify({ ...status, stored: recorder.log.stored })}\n`);
      else note(`${recorder.log.stored} packets stored, ${status.missingPackets} missing`);
    });
}

interface RecordingOptions {
  readonly dir?: string;
  readonly node?: string;
  readonly testbed?: string;
}

interface ShowOptions extends RecordingOptions {
  follow?: boolean;
  packet?: string;
  parameter?: string[];
  since?: string;
  until?: string;
  csv?: boolean;
  json?: boolean;
  out?: boolean;
}

function showCommand(): Command {
  return ofRecording(sub('show', 'Print recorded telemetry, decoded by the dictionary.'))
    .option('--follow', 'go on with what arrives')
    .option('--packet <name|apid>', 'only these packets')
    .option('--parameter <packet.name>', 'only this parameter; may be repeated', (v: string, all: string[] = []) => [
      ...all,
      v,
    ])
    .option('--since <time>', 'only packets made at or after this time (ISO 8601, spacecraft clock)')
    .option('--until <time>', 'only packets made before this time')
    .option('--out', 'only parameters that are out of limits')
    .option('--csv', 'one line a parameter, with a header (RFC 4180)')
    .option('--json', 'one JSON object a line, one line a packet')
    .action(async (options: ShowOptions) => {
      const directory = await recordingOf(options);
      const filter = makeFilter(options);
      const unknown = new Counters();
      if (options.csv) process.stdout.write(`${CSV_HEADER}\n`);
      const reader = new TelemetryLogReader(directory);
      let interrupted = false;
      process.once('SIGINT', () => {
        interrupted = true;
      });
      do {
        for (const record of reader.next()) {
          const decoded = decodeTelemetry(SPACECRAFT, record.octets);
          if (!decoded.ok) unknown.add(decoded.reason);
          else if (filter(decoded.value)) await print(decoded.value, options);
          if (interrupted) break;
        }
        if (options.follow && !interrupted) await sleep(200);
      } while (options.follow && !interrupted);
      for (const [reason, count] of Object.entries(unknown.snapshot())) note(`${count} packets not decoded: ${reason}`);
    });
}

const ofRecording = (command: Command): Command =>
  command
    .option('--dir <directory>', 'the recording; default: that of the recorder in the running testbed')
    .option('--node <node>', 'testbed: whose recorder, when there are several')
    .option('--testbed <name>', 'which running testbed; default: the only one');

async function recordingOf(options: RecordingOptions): Promise<string> {
  const directory = options.dir ?? (await recorderIn(options));
  if (!existsSync(directory))
    throw new VerbError(EXIT.dataError, `there is no recording in ${directory}`, 'omni tlm record --dir makes one.');
  return directory;
}

async function recorderIn({ node, testbed: name }: RecordingOptions): Promise<string> {
  const { paths, name: testbed } = await selectRunningTestbed(name);
  const scenario = readScenario(paths);
  if (node !== undefined) findNode(scenario, node);
  const recorders = scenario.nodes.flatMap(({ name: at, services }) => {
    const recorder = (services.telemetry as TelemetrySettings | undefined)?.recorder;
    return recorder === undefined || (node !== undefined && node !== at) ? [] : [{ at, recorder }];
  });
  const [only, another] = recorders;
  if (only === undefined)
    throw new VerbError(
      EXIT.unavailable,
      `${node ?? `no node of ${testbed}`} records ${node === undefined ? 'telemetry' : 'no telemetry'}`,
      'Name a recording with --dir, or give a node telemetry: { recorder: {} } in the scenario.',
    );
  if (another !== undefined)
    throw new VerbError(
      EXIT.usage,
      `several nodes record telemetry: ${recorders.map((r) => r.at).join(', ')}`,
      'Name one with --node.',
    );
  return only.recorder.directory ?? join(nodeStateDirectory(paths, only.at), 'telemetry');
}

function makeFilter(options: ShowOptions): (packet: TelemetryPacket) => boolean {
  const { packet } = options;
  const known = SPACECRAFT.packets.find((p) => p.name === packet || String(p.apid) === packet);
  if (packet !== undefined && known === undefined)
    throw new VerbError(
      EXIT.usage,
      `there is no packet '${packet}'`,
      `One of: ${SPACECRAFT.packets.map((p) => p.name).join(', ')}.`,
    );
  for (const name of options.parameter ?? [])
    if (!SPACECRAFT.packets.some((p) => p.parameters.some((f) => `${p.name}.${f.name}` === name)))
      throw new VerbError(
        EXIT.usage,
        `there is no parameter '${name}'`,
        "'omni tlm dictionary' lists them as packet.parameter.",
      );
  const since = timeOption(options.since);
  const until = timeOption(options.until);
  const wanted = options.parameter === undefined ? undefined : new Set(options.parameter.map((p) => p.split('.')[0]));
  return (p) =>
    (known === undefined || p.definition === known) &&
    (wanted === undefined || wanted.has(p.definition.name)) &&
    (since === undefined || p.time >= since) &&
    (until === undefined || p.time < until);
}

function timeOption(text: string | undefined): WallTime | undefined {
  if (text === undefined) return undefined;
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds))
    throw new VerbError(EXIT.usage, `'${text}' is not a time`, 'Write 2026-11-21T12:00:00Z.');
  return (BigInt(milliseconds) * 1_000_000n) as WallTime;
}

/** Waits when the reader of our output is slower than we are. */
async function print(packet: TelemetryPacket, options: ShowOptions): Promise<void> {
  const rows = rowsOf(packet).filter(
    (r) =>
      (options.parameter === undefined || options.parameter.includes(`${r.packet}.${r.parameter}`)) &&
      (!options.out || r.state !== 'within'),
  );
  if (rows.length === 0) return;
  const text = options.csv
    ? rows.map(csvLine).join('\n')
    : options.json
      ? JSON.stringify(recordOf(packet))
      : `${rows[0]!.time} ${packet.definition.name} #${packet.sequenceCount} ${rows
          .map(
            (r) =>
              `${r.parameter}=${r.value ?? '-'}${r.unit && r.value !== null ? ` ${r.unit}` : ''}${r.state === 'within' ? '' : ` [${r.state.toUpperCase()}]`}`,
          )
          .join('  ')}`;
  if (!process.stdout.write(`${text}\n`))
    await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
}

function gapsCommand(): Command {
  return ofRecording(sub('gaps', 'List packets that are missing from a recording, by APID, from the sequence counts.'))
    .option('--json', 'print JSON')
    .action(async (options: RecordingOptions & { json?: boolean }) => {
      const directory = await recordingOf(options);
      const tracker = new GapTracker();
      let packets = 0;
      for (const record of readTelemetryLog(directory)) {
        const parsed = parseSpacePacket(record.octets);
        if (!parsed.ok) continue;
        packets++;
        const { packet } = parsed.value;
        tracker.add(packet.apid, packet.sequenceCount, timeOf(packet) ?? (0n as WallTime));
      }
      const gaps = tracker.gaps().map((g) => ({
        apid: g.apid,
        packet: SPACECRAFT.packets.find((p) => p.apid === g.apid)?.name ?? 'unknown',
        firstCount: g.first,
        missing: g.missing,
        after: isoTime(g.after),
        before: isoTime(g.before),
      }));
      if (options.json) printJson({ packets, missing: tracker.missingPackets, gaps });
      else {
        for (const g of gaps)
          process.stdout.write(
            `${g.packet} (APID ${g.apid}): ${g.missing} missing from count ${g.firstCount}, between ${g.after} and ${g.before}\n`,
          );
        process.stdout.write(`${packets} packets, ${tracker.missingPackets} missing in ${gaps.length} gaps\n`);
      }
    });
}

function dictionaryCommand(): Command {
  return sub('dictionary', 'Print what the spacecraft says and understands.')
    .option('--xtce', 'as XTCE 1.2')
    .option('--json', 'as JSON')
    .option('--markdown', 'as a page (the default)')
    .action((options: { xtce?: boolean; json?: boolean }) => {
      if (options.xtce) process.stdout.write(xtceOf(SPACECRAFT));
      else if (options.json) printJson(SPACECRAFT);
      else process.stdout.write(dictionaryPage(SPACECRAFT));
    });
}
