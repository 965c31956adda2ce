/** Nothing disappears unexplained: a whole data plane in virtual time, with flapping contacts, noise, small queues and hostile packets. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import { type ScheduledPacket, VirtualReactor } from '../../src/io/virtual-reactor.ts';
import { PORT } from '../../src/ip/index.ts';
import { createDataPlane, type DataPlaneStatus } from '../../src/node/data-plane.ts';
import { lineSources } from '../../src/node/line-sources.ts';
import { parseScenario } from '../../src/scenario/index.ts';
import { fillHostilePacket } from '../support/hostile-packets.ts';
import { udp4 } from '../support/ip-packets.ts';

/** Two ground stations see a relay spacecraft now and then, which sees another that no station ever sees. */
const FLAPPING = parseScenario(`
name: flap
seed: 1
nodes:
  east: { kind: ground-station, address: 10.0.0.1 }
  west: { kind: ground-station, address: 10.0.0.2 }
  relay: { kind: spacecraft, address: 10.0.0.3 }
  far: { kind: spacecraft, address: 10.0.0.4 }
links:
  a:
    between: [east, relay]
    mtu: 576
    up: { rate: 9600, delay: 10ms, ber: 1e-5, queue: 5 packets }
    down: { rate: 38.4k, delay: 10ms, ber: { burst: { goodBits: 20k, badBits: 300, badBer: 0.05 } }, queue: 4KiB }
    contacts: { period: 7s, duration: 4s, first: 1s }
    los: { inFlight: cut, queue: hold, holdOctets: 6000, holdAge: 5s }
  b:
    between: [west, relay]
    up: { rate: 38.4k, delay: 120ms, jitter: 20ms, ber: 3e-5, queue: 5 packets }
    down: { rate: 38.4k, delay: 120ms, ber: 3e-5, queue: 5 packets }
    contacts: { period: 5s, duration: 2s }
    los: { inFlight: arrive, queue: drop }
  c:
    between: [relay, far]
    framing: ppp
    fcs: 32
    up: { rate: 128k, delay: 50ms, ber: 1e-4, queue: 10 packets }
    down: { rate: 128k, delay: 50ms, ber: 1e-4, queue: 10 packets }
    contacts: { period: 1100ms, duration: 300ms }
    los: { inFlight: cut, queue: hold, holdOctets: 3000, holdAge: 1s }
`);
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];

/** From every node to every other at random moments, more than fits; one packet in ten is hostile. */
function* traffic(seed: number, seconds: number): Iterable<ScheduledPacket> {
  const rng = new Rng(seed, 'conservation/traffic');
  const buffer = new Uint8Array(2000);
  for (let at = 0; at < seconds * 1e9; at += Math.round(rng.exponential() * 20e6)) {
    const tun = rng.below(4);
    const hostile = rng.below(10) === 0;
    const octets = hostile
      ? fillHostilePacket(rng, buffer).slice(0, 1500)
      : udp4({
          from: ADDRESSES[tun]!,
          to: ADDRESSES[(tun + 1 + rng.below(3)) % 4]!,
          destinationPort: [PORT.ntp, PORT.command, PORT.telemetry, PORT.smtp, 9][rng.below(5)]!,
          payloadOctets: rng.below(1400),
          identification: rng.below(65_536),
          dontFragment: rng.below(4) === 0,
        });
    if (octets.length > 0) yield { atNanoseconds: at, tun, octets };
  }
}

function run(seed: number, seconds: number, check: (status: DataPlaneStatus) => void): DataPlaneStatus {
  const reactor = new VirtualReactor(traffic(seed, seconds));
  const alarms: string[] = [];
  const dataPlane = createDataPlane({
    scenario: FLAPPING,
    tuns: new Map(),
    native: reactor,
    sources: lineSources(FLAPPING),
    seed,
    log: (line) => alarms.push(line),
  });
  dataPlane.start();
  try {
    let nextCheck = 0;
    while (reactor.nextAt < (seconds + 60) * 1e9) {
      reactor.step();
      if (reactor.monotonicNanoseconds() < nextCheck) continue;
      nextCheck += 1e9 / 3;
      check(dataPlane.status());
    }
    expect(alarms).toEqual([]);
    return dataPlane.status();
  } finally {
    dataPlane.stop();
  }
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

/** Over the whole network: what kernels gave and routers made, and what became of it. */
function ledger({ nodes, links }: DataPlaneStatus) {
  let entered = 0;
  let accounted = 0;
  const reasons: Record<string, number> = {};
  for (const { router } of nodes) {
    if (router === undefined) continue;
    entered += router.originatedPackets;
    accounted += router.consumedPackets + router.droppedOwnPackets + router.reassemblingPackets;
    for (const { kind, input, output } of router.interfaces) {
      if (kind === 'host') entered += input.packets;
      if (kind === 'host') accounted += output.sentPackets;
      accounted += output.queuedPackets + sum(input.dropped) + sum(output.dropped);
      for (const dropped of [input.dropped, output.dropped])
        for (const [reason, n] of Object.entries(dropped)) reasons[reason] = (reasons[reason] ?? 0) + n;
    }
  }
  for (const link of links)
    for (const { counters } of [link.up, link.down]) {
      entered += counters.packetsSpurious ?? 0;
      accounted += counters.packetsLost! + counters.packetsInFlight!;
      for (const [name, n] of Object.entries(counters))
        if (name.startsWith('lost.')) reasons[name] = (reasons[name] ?? 0) + n;
    }
  return { entered, accounted, reasons };
}

describe('conservation', () => {
  test.each([1, 2, 3])('seed %i: three times a second and at the end, every packet is accounted for', (seed) => {
    let checks = 0;
    const end = run(seed, 120, (status) => {
      checks++;
      expect(status.alarms).toEqual([]);
      const { entered, accounted } = ledger(status);
      expect(accounted).toBe(entered);
    });
    expect(checks).toBeGreaterThan(400);
    const { reasons, entered } = ledger(end);
    console.log(`seed ${seed}: ${entered} packets; ${JSON.stringify(reasons)}`);
    // The test is of no use unless everything happened.
    for (const reason of ['age', 'stale', 'queue-full', 'mtu', 'link-down', 'martian-source', 'lost.fcs', 'lost.los'])
      expect(reasons[reason] ?? 0, reason).toBeGreaterThan(0);
    expect(end.nodes.every(({ router }) => router!.interfaces[0]!.output.sentPackets > 0)).toBe(true);
  });
});
