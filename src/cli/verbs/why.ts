/** `omni why`: one packet's life, from the recorder's ring of a testbed that is up or from a capture file. */
import type { Command } from 'commander';
import { readCaptureFile } from '../../io/capture-file.ts';
import { PcapngDecoder } from '../../io/pcapng.ts';
import { describeLife, describePacket } from '../../lab/describe-packet.ts';
import { firstSequences, parsePacketFilter } from '../../lab/packet-filter.ts';
import { type PacketLife, PacketLives } from '../../lab/packet-life.ts';
import { type RecordedPacket, recordedPacket } from '../../lab/recorded-packets.ts';
import { controlStream } from '../../testbed/control.ts';
import { selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { printJson, VerbError, verb } from '../verb.ts';

interface WhyOptions {
  readonly read?: string;
  readonly testbed?: string;
  readonly limit: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'why',
    "Tell a packet's life: when it entered, how long it queued behind what, which bits were hit, what the receiver did.",
    [
      'omni why 1234                               # the packet with this id (frame.packet_id) in the running testbed',
      "omni why 'ip.id==0x4b1f'                    # what is still in the recorder's ring",
      "omni why 'tcp.seq==1025 && tcp.srcport==20'",
      "omni why 'outcome==fcs' --limit 3           # three frames that the noise damaged",
      'omni why 57 -r space.pcapng                 # number 57 of a capture, as Wireshark numbers it',
    ],
  )
    .argument('<packet>', 'a number, or a filter: FIELD==VALUE, several joined with &&')
    .option('-r, --read <file>', 'a capture of ours instead of the running testbed; then a number is a frame number')
    .option('--limit <count>', 'tell at most so many lives', '5')
    .option('--testbed <name>', 'the testbed, when more than one is up')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(asked: string, options: WhyOptions): Promise<void> {
  const limit = Number(options.limit);
  if (!(Number.isInteger(limit) && limit >= 1))
    throw new VerbError(EXIT.usage, `--limit takes a whole number, not '${options.limit}'`);
  const packets = options.read === undefined ? await fromTestbed(options.testbed) : await fromFile(options.read);
  const isNumber = /^\d+$/.test(asked.trim());
  const text = isNumber ? `${options.read === undefined ? 'packet' : 'frame.number'}==${asked.trim()}` : asked;
  const filter = parsePacketFilter(text, packets);
  if (!filter.ok) throw new VerbError(EXIT.usage, filter.reason);
  const found = packets.filter(filter.value);
  const ids = [...new Set(found.map((packet) => packet.packetId))].filter((id) => id !== 0);
  if (found.length === 0)
    throw new VerbError(
      EXIT.failure,
      `no packet fits '${text}' among the ${packets.length} recorded`,
      options.read === undefined
        ? "The recorder's ring keeps the last megabytes only; record longer with 'omni capture -w FILE' and ask it with -r FILE."
        : undefined,
    );
  const lives = new PacketLives(packets);
  const told = ids.slice(0, limit).map((id) => lives.life(id)!);
  if (options.json) printJson({ matches: ids.length, lives: told.map(asJson) });
  else {
    const first = firstSequences(packets);
    process.stdout.write(`${told.map((life) => describeLife(life, first)).join('\n\n')}\n`);
    const nameless = found.filter((packet) => packet.packetId === 0);
    if (ids.length === 0)
      process.stdout.write(
        `${nameless
          .slice(0, limit)
          .map((p) => describeNameless(p))
          .join('\n')}\n`,
      );
    if (ids.length > limit) process.stderr.write(`${ids.length - limit} more packets fit; --limit shows them\n`);
  }
}

async function fromFile(file: string): Promise<RecordedPacket[]> {
  const packets: RecordedPacket[] = [];
  let number = 0;
  for await (const { packet, interface: from } of readCaptureFile(file)) {
    const one = recordedPacket(packet, from, ++number);
    if (one !== undefined) packets.push(one);
  }
  if (packets.length === 0 && number > 0)
    throw new VerbError(
      EXIT.dataError,
      `${file} holds ${number} packets, but not of this recorder`,
      "Captures for it are made by 'omni capture' without --at.",
    );
  return packets;
}

async function fromTestbed(name: string | undefined): Promise<RecordedPacket[]> {
  const { paths } = await selectRunningTestbed(name);
  const decoder = new PcapngDecoder();
  const packets: RecordedPacket[] = [];
  let number = 0;
  for await (const piece of controlStream(paths.controlSocket, 'capture', { from: 'ring', until: 'end-of-ring' }))
    for (const packet of decoder.push(Buffer.from(String(piece), 'base64'))) {
      const one = recordedPacket(packet, decoder.interfaces[packet.interfaceId]!, ++number);
      if (one !== undefined) packets.push(one);
    }
  return packets;
}

const describeNameless = (packet: RecordedPacket): string =>
  `frame ${packet.number}: ${packet.link} ${packet.direction}, ${packet.tap}, ${packet.facts.get('outcome') ?? ''}: the noise made or cut it, so no one packet can be named; ${describePacket(packet)}`;

function asJson(life: PacketLife): unknown {
  const { entered, hops, ...rest } = life;
  return {
    ...rest,
    packet: entered === undefined ? undefined : describePacket(entered),
    hops: hops.map(({ sent, enteredAt, leftAt, received, dropped, ...hop }) => ({
      ...hop,
      enteredAtNs: enteredAt?.toString(),
      sent: sent && { atNs: sent.at.toString(), octets: sent.octets, bits: sent.bits, seconds: sent.seconds },
      received: received && { ...received, at: undefined, atNs: received.at.toString() },
      leftAtNs: leftAt?.toString(),
      dropped: dropped && { atNs: dropped.at.toString(), reason: dropped.reason },
    })),
  };
}
