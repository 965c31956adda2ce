/** Days pass in a moment: what waits for a contact costs no wake-up until something is due. */
import { expect, test } from 'vitest';
import { type ScheduledPacket, VirtualReactor } from '../../src/io/virtual-reactor.ts';
import { createDataPlane } from '../../src/node/data-plane.ts';
import { lineSources } from '../../src/node/line-sources.ts';
import { parseScenario } from '../../src/scenario/index.ts';
import { udp4 } from '../support/ip-packets.ts';

const DAY = 86_400e9;
const RARE = parseScenario(`
name: rare
nodes:
  ground: { kind: ground-station, address: 10.0.0.1 }
  space: { kind: spacecraft, address: 10.0.0.2 }
links:
  l:
    between: [ground, space]
    up: { rate: 9600, delay: 10ms }
    down: { rate: 9600, delay: 10ms }
    contacts: { period: 20h, duration: 5min, first: 19h }
    los: { queue: hold, holdOctets: 1MiB, holdAge: 30h }
`);

test('a packet held for a day is delivered in the contact, and the day takes a few wake-ups', () => {
  const octets = udp4({ from: '10.0.0.1', to: '10.0.0.2', payloadOctets: 100 });
  const packets: ScheduledPacket[] = [1, 1.5].map((hours) => ({ atNanoseconds: hours * 3600e9, tun: 0, octets }));
  const reactor = new VirtualReactor(packets);
  const dataPlane = createDataPlane({
    scenario: RARE,
    tuns: new Map(),
    native: reactor,
    sources: lineSources(RARE),
    seed: 1,
    log: (line) => expect.fail(line),
  });
  dataPlane.start();
  let steps = 0;
  while (reactor.nextAt < DAY) {
    reactor.step();
    expect(++steps).toBeLessThan(1000);
  }
  expect(dataPlane.status().links[0]!.up.counters.packetsOut).toBe(2);
  dataPlane.stop();
});
