/**
 * The recorder and the trace analysis against the real thing: kernel TCP over a noisy link, its retransmissions counted by us and
 * by tshark from the same capture.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Timeline } from '../../src/channel/index.ts';
import type { Capture } from '../../src/io/capture.ts';
import { readCaptureFile } from '../../src/io/capture-file.ts';
import { Recorder } from '../../src/io/recorder.ts';
import { describeLife } from '../../src/lab/describe-packet.ts';
import { PacketLives } from '../../src/lab/packet-life.ts';
import { type RecordedPacket, recordedPacket } from '../../src/lab/recorded-packets.ts';
import { parseSegment, TcpTrace } from '../../src/lab/trace/index.ts';
import { ADDRESS_A, type TwoNodes, twoNodes } from '../support/two-nodes.ts';

const skip =
  process.getuid?.() !== 0
    ? 'needs root'
    : spawnSync('tshark', ['--version']).status !== 0
      ? 'needs tshark'
      : undefined;
const OCTETS = 300_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-recorder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const ERA_2000 = [
  'sack=0',
  'dsack=0',
  'recovery=0',
  'frto=0',
  'timestamps=0',
  'early_retrans=0',
  'congestion_control=reno',
];

test.skipIf(skip !== undefined).each([
  ['the kernel as it is', []],
  ['TCP of 2000', ERA_2000],
])(`retransmissions counted as tshark does: %s (${skip ?? 'root, tshark'})`, async (_, sysctls) => {
  const recorder = new Recorder({
    links: [
      {
        name: 'space',
        directions: [
          { name: 'up', from: 'a', to: 'b', framing: 'frame-relay' },
          { name: 'down', from: 'b', to: 'a', framing: 'frame-relay' },
        ],
      },
    ],
    epoch: 1_000_000_000_000_000_000n as Recorder['epoch'],
  });
  const testbed = await twoNodes({
    label: 'rec',
    mtuOctets: 552,
    seed: 7,
    tap: recorder,
    queuePackets: 20,
    up: {
      rate: Timeline.constant(1e6),
      delay: Timeline.constant<number>(10e6),
      noise: Timeline.constant({ kind: 'independent', ber: 2e-5 } as const),
    },
    down: { rate: Timeline.constant(1e6), delay: Timeline.constant<number>(10e6) },
  });
  try {
    for (const name of [testbed.a, testbed.b])
      for (const setting of sysctls)
        execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', `net.ipv4.tcp_${setting}`]);
    await transfer(testbed);
    const host = join(folder, 'host.pcapng');
    writeFileSync(host, drain(recorder.capture({ at: 'a' }, 'ring')));
    const ours = await tcpConnections(host);
    const flow = ours[0]!.toClient;
    expect(flow.octets).toBe(OCTETS);
    // At the sender nothing overtakes, so what tshark takes for out of order (sent again within one round trip of newer
    // data) was sent again too.
    const again = '(tcp.analysis.retransmission || tcp.analysis.out_of_order) && ip.src==10.99.0.1';
    const theirs = tsharkCount(host, again);
    expect(flow.retransmissions.total).toBe(theirs);
    expect(theirs).toBeGreaterThan(5);
    expect(flow.retransmissions.fast).toBeGreaterThan(0);

    // All four taps: nothing malformed but what the noise damaged, and every lost packet's life can be told.
    const all = join(folder, 'all.pcapng');
    writeFileSync(all, drain(recorder.capture({}, 'ring')));
    const damaged =
      'frame.packet_flags_crc_error==1 || frame.packet_flags_symbol_error==1 || frame.packet_flags_unaligned_frame_error==1';
    expect(tsharkCount(all, `_ws.malformed && !(${damaged})`)).toBe(0);
    const packets = await recorded(all);
    const lives = new PacketLives(packets);
    const lost = packets.filter((packet) => packet.tap === 'dropped');
    expect(lost.length).toBeGreaterThanOrEqual(5);
    const wire = packets.filter((packet) => packet.tap === 'frame-sent').sort((a, b) => (a.at < b.at ? -1 : 1));
    /** Noise in the flag between two frames makes one of them: the second is lost without a bit of its own being hit. */
    const wasJoined = ({ packetId, direction }: RecordedPacket): boolean => {
      const frames = wire.filter((frame) => frame.direction === direction);
      const before = frames[frames.findIndex((frame) => frame.packetId === packetId) - 1];
      return lost.some((packet) => packet.packetId === before?.packetId);
    };
    for (const dropped of lost) {
      const { packetId } = dropped;
      const life = lives.life(packetId)!;
      const hop = life.hops[0]!;
      expect(hop.dropped?.reason).toMatch(/^(noise-|queue-full)/);
      if (hop.dropped?.reason !== 'queue-full' && !wasJoined(dropped))
        expect(hop.received?.hit.length).toBeGreaterThan(0);
      expect(describeLife(life)).toContain('dropped');
    }
    // What was lost is sent again, unless an earlier copy of it had arrived.
    const lostData = lost.filter((packet) => (parseSegment(packet.octets, 0)?.payloadOctets ?? 0) > 0);
    const sequenceOf = (packet: RecordedPacket) => parseSegment(packet.octets, 0)?.sequence;
    const arrived = new Set(packets.filter((packet) => packet.tap === 'ip-out').map(sequenceOf));
    for (const packet of lostData)
      expect(lives.life(packet.packetId)!.sentAgain !== undefined || arrived.has(sequenceOf(packet))).toBe(true);
    expect(lostData.filter(({ packetId }) => lives.life(packetId)!.sentAgain !== undefined).length).toBeGreaterThan(3);
  } finally {
    testbed.close();
  }
});

/** `a` serves, `b` fetches. */
async function transfer({ a, b }: TwoNodes): Promise<void> {
  const serve = `require('net').createServer(s=>s.end(Buffer.alloc(${OCTETS},7))).listen(4000,()=>console.log('up'))`;
  const server = spawn('ip', ['netns', 'exec', a, process.execPath, '-e', serve], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await new Promise((resolve) => server.stdout.once('data', resolve));
    const fetch = `let n=0;require('net').connect(4000,'${ADDRESS_A}').on('data',d=>n+=d.length).on('end',()=>process.exit(n===${OCTETS}?0:1))`;
    const client = spawn('ip', ['netns', 'exec', b, process.execPath, '-e', fetch], { stdio: 'inherit' });
    expect(await new Promise((resolve) => client.once('exit', resolve))).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 300)); // the last acknowledgments
  } finally {
    server.kill('SIGKILL');
  }
}

function drain(capture: Capture): Buffer {
  const parts: Uint8Array[] = [];
  for (let octets = capture.read(); octets !== undefined; octets = capture.read()) parts.push(octets);
  return Buffer.concat([...parts, capture.finish()]);
}

async function tcpConnections(file: string) {
  const trace = new TcpTrace();
  for await (const { packet } of readCaptureFile(file)) {
    const segment = parseSegment(packet.octets, Number(packet.at - 1_000_000_000_000_000_000n) / 1e9);
    if (segment !== undefined) trace.add(segment);
  }
  return trace.connections();
}

async function recorded(file: string): Promise<RecordedPacket[]> {
  const packets: RecordedPacket[] = [];
  let number = 0;
  for await (const { packet, interface: from } of readCaptureFile(file)) {
    const one = recordedPacket(packet, from, ++number);
    if (one !== undefined) packets.push(one);
  }
  return packets;
}

const tsharkCount = (file: string, filter: string): number =>
  execFileSync('tshark', ['-r', file, '-Y', filter], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .split('\n')
    .filter((line) => line !== '').length;
