import { describe, expect, test } from 'vitest';
import { type Duration, milliseconds, seconds, toMilliseconds } from '../../src/core/index.ts';
import { SecurityAssociations } from '../../src/mobileip/index.ts';
import {
  association,
  at,
  CORRESPONDENT,
  candosStation,
  HOME,
  Internetwork,
  MOBILE_SPI,
  type StationOptions,
  trueTime,
} from '../support/mobileip.ts';

const fast = (name: string, number: number, fields: Partial<StationOptions> = {}): StationOptions =>
  candosStation(name, number, { uplinkBitPerSec: 128_000, ...fields });

/** Numbered datagrams in both directions, one each every `every`. */
function traffic(network: Internetwork, from: Duration, to: Duration, every: Duration): number {
  let count = 0;
  for (let time = from as number; time < to; time += every, count++) {
    const payload = new Uint8Array(20);
    new DataView(payload.buffer).setUint32(0, count);
    network.at(time as Duration, () => {
      network.sendFromCorrespondent(HOME, payload);
      network.sendFromSpacecraft(CORRESPONDENT, payload);
    });
  }
  return count;
}

/** The longest time without a packet at a node, milliseconds. */
function longestGap(network: Internetwork, node: 'spacecraft' | 'correspondent'): number {
  const times = network.dataReceived(node).map((each) => each.at);
  return Math.max(...times.slice(1).map((time, i) => toMilliseconds((time - times[i]!) as Duration)));
}

describe('one station', () => {
  test('an advertisement after link-up leads to a registration, and traffic flows both ways through the tunnels', () => {
    const network = new Internetwork({ stations: [candosStation('wallops', 1)] });
    network.contact('wallops', at(10), at(600));
    traffic(network, at(20), at(30), seconds(1));
    network.runUntil(at(40));
    const [registered] = network.registrations();
    expect(registered?.change).toBe('attached');
    // 55 octets of advertisement and 77 of reply at 2 kbit/s, with their frames, dominate: 4 × 5 ms of space, 2 × 20 of core.
    expect(toMilliseconds((registered!.at - at(10)) as Duration)).toBeGreaterThan(500);
    expect(toMilliseconds((registered!.at - at(10)) as Duration)).toBeLessThan(750);
    expect(network.dataReceived('spacecraft')).toHaveLength(10);
    expect(network.dataReceived('correspondent')).toHaveLength(10);
    expect(network.counters.get('ingress-filtered')).toBe(0);
    expect(network.leakedPackets()).toBe(0);
  });

  test('without a reverse tunnel the ingress filter of the station drops what the spacecraft sends', () => {
    const network = new Internetwork({ stations: [candosStation('wallops', 1)], mobileNode: { reverseTunnel: false } });
    network.contact('wallops', at(1), at(600));
    traffic(network, at(20), at(30), seconds(1));
    network.runUntil(at(40));
    expect(network.dataReceived('spacecraft')).toHaveLength(10);
    expect(network.dataReceived('correspondent')).toHaveLength(0);
    expect(network.counters.get('ingress-filtered')).toBe(10);
  });

  test('the registration is renewed before it ends, and not more often than needed', () => {
    const network = new Internetwork({ stations: [candosStation('wallops', 1)], mobileNode: { lifetime: 60 } });
    network.contact('wallops', at(0), at(3600));
    network.runUntil(at(3600));
    const count = network.registrations().length;
    expect(count).toBeGreaterThan(3600 / 60);
    expect(count).toBeLessThan((3600 / 60) * 1.3);
    expect(network.homeAgentEvents.some((event) => event.kind === 'unbound')).toBe(false);
  });

  test('half of all messages lost: it registers, and repeats with growing intervals', () => {
    const network = new Internetwork({
      stations: [candosStation('wallops', 1, { loss: 0.5 })],
      mobileNode: { lifetime: 300 },
    });
    for (let pass = 0; pass < 20; pass++) network.contact('wallops', at(pass * 1000), at(pass * 1000 + 600));
    network.runUntil(at(20_000));
    const passes = new Set(network.registrations().map((each) => Math.floor(each.at / 1e12)));
    // One advertisement a pass, lost half the time, and nobody asks: that is what solicitation is for.
    expect(passes.size).toBeGreaterThan(4);
    const asking = new Internetwork({
      stations: [candosStation('wallops', 1, { loss: 0.5, link: { discovery: 'solicit' } })],
      mobileNode: { lifetime: 300 },
    });
    for (let pass = 0; pass < 20; pass++) asking.contact('wallops', at(pass * 1000), at(pass * 1000 + 600));
    asking.runUntil(at(20_000));
    expect(new Set(asking.registrations().map((each) => Math.floor(each.at / 1e12))).size).toBe(20);
  });

  test('a nonce instead of the time: lost messages, no clock at all', () => {
    const network = new Internetwork({
      stations: [candosStation('wallops', 1, { loss: 0.3, link: { discovery: 'link-up' } })],
      ...nonce(),
    });
    for (let pass = 0; pass < 20; pass++) network.contact('wallops', at(pass * 1000), at(pass * 1000 + 600));
    network.runUntil(at(20_000));
    expect(new Set(network.registrations().map((each) => Math.floor(each.at / 1e12))).size).toBe(20);
  });

  test('detection by link-up costs less uplink than an advertisement, and registers sooner', () => {
    const times = (['advertisement', 'link-up', 'solicit'] as const).map((discovery) => {
      const network = new Internetwork({
        stations: [
          candosStation('wallops', 1, {
            link: { discovery },
            foreignAgent: { advertisement: discovery === 'advertisement' ? 'link-up' : 'solicited' },
          }),
        ],
      });
      // The agent's start sends one advertisement in any case: a pass before the one that counts.
      network.contact('wallops', at(0), at(100));
      network.contact('wallops', at(5000), at(5600));
      network.runUntil(at(5600));
      const second = network.registrations().find((each) => each.at > at(5000))!;
      return toMilliseconds((second.at - at(5000)) as Duration);
    });
    const [advertised, linkUp, solicited] = times as [number, number, number];
    expect(linkUp).toBeLessThan(advertised - 200);
    expect(linkUp).toBeLessThan(solicited - 200);
  });
});

describe('the clock (omni-facts 3.2, cross-protocol trap)', () => {
  test('NTP steps the clock back by 3.25 s, or by a day: no code 133', () => {
    for (const step of [3.25, 86_400]) {
      const network: Internetwork = new Internetwork({
        stations: [fast('a', 1), fast('b', 2)],
        mobileNode: {
          lifetime: 30,
          wallTime: (now) => (trueTime(now) - (now > at(100) ? BigInt(step * 1e9) : 0n)) as never,
        },
      });
      for (let i = 0; i < 10; i++) network.contact(i % 2 === 0 ? 'a' : 'b', at(i * 50), at(i * 50 + 50));
      network.runUntil(at(500));
      expect(network.registrations().length).toBeGreaterThan(10);
      expect(network.mobileNodeEvents.filter((event) => event.kind === 'denied')).toHaveLength(0);
    }
  });

  test('a clock that is an hour off at the start costs one denial, and then nothing', () => {
    for (const offset of [3600, -3600]) {
      const network = new Internetwork({
        stations: [fast('a', 1)],
        mobileNode: { lifetime: 60, wallTime: (now) => (trueTime(now) + BigInt(offset * 1e9)) as never },
      });
      network.contact('a', at(0), at(1000));
      network.runUntil(at(1000));
      const denied = network.mobileNodeEvents.filter((event) => event.kind === 'denied');
      expect(denied.map((event) => event.code)).toEqual([133]);
      expect(network.registrations().length).toBeGreaterThan(15);
    }
  });
});

describe('handovers', () => {
  test('50 handovers with overlapping coverage: nothing is lost, nothing gaps', () => {
    const network = new Internetwork({
      stations: ['a', 'b', 'c'].map((name, i) => fast(name, i + 1)),
      foreignHome: true,
      mobileNode: { lifetime: 300 },
    });
    const names = ['a', 'b', 'c'];
    // Each pass lasts 70 s and the next begins 10 s before its end.
    for (let i = 0; i <= 50; i++) network.contact(names[i % 3]!, at(i * 60), at(i * 60 + 70));
    const sent = traffic(network, at(5), at(3060), milliseconds(200));
    network.runUntil(at(3100));
    expect(network.registrations().filter((each) => each.change === 'handover')).toHaveLength(50);
    expect(network.dataReceived('spacecraft')).toHaveLength(sent);
    expect(network.dataReceived('correspondent')).toHaveLength(sent);
    // A round trip and 100 ms beyond the 200 ms between packets.
    expect(longestGap(network, 'spacecraft')).toBeLessThan(200 + 50 + 100);
    expect(longestGap(network, 'correspondent')).toBeLessThan(200 + 50 + 100);
    expect(network.homeAgent.bindings.size).toBe(1);
    expect(network.leakedPackets()).toBe(0);
  });

  test('50 handovers with gaps between the passes: the gap is the time out of view and one registration', () => {
    const network = new Internetwork({
      stations: ['a', 'b', 'c'].map((name, i) => candosStation(name, i + 1, { link: { discovery: 'link-up' } })),
      foreignHome: true,
    });
    const names = ['a', 'b', 'c'];
    for (let i = 0; i <= 50; i++) network.contact(names[i % 3]!, at(i * 60), at(i * 60 + 50));
    traffic(network, at(5), at(3050), milliseconds(500));
    network.runUntil(at(3100));
    expect(network.registrations().filter((each) => each.change === 'handover')).toHaveLength(50);
    // 10 s out of view; the reply of 70 octets takes 0.31 s at 2 kbit/s, and what waits before it on that uplink.
    expect(longestGap(network, 'spacecraft')).toBeLessThan(10_000 + 1500 + 500);
    expect(network.leakedPackets()).toBe(0);
  });

  test('what the old station could not deliver follows the spacecraft to the new one', () => {
    const network = new Internetwork({
      stations: [fast('a', 1), fast('b', 2, { link: { discovery: 'link-up' } })],
      foreignHome: true,
    });
    network.contact('a', at(0), at(60));
    network.contact('b', at(65), at(120));
    const sent = traffic(network, at(5), at(110), milliseconds(100));
    network.runUntil(at(130));
    const arrived = network.dataReceived('spacecraft').length;
    // Only what was on the wire when the signal went is gone: 5 ms of propagation and a few milliseconds of transmission.
    expect(sent - arrived).toBeLessThanOrEqual(1);
    expect(network.station('a').tunnel.counters.get('held.packets')).toBeGreaterThan(40);
    expect(network.homeTunnel.counters.get('returned.packets')).toBeGreaterThan(40);
    expect(network.leakedPackets()).toBe(0);
  });

  test('simultaneous bindings: both stations get every packet while both are in view, one afterwards', () => {
    const network = new Internetwork({
      stations: [fast('a', 1), fast('b', 2)],
      mobileNode: { simultaneousBindings: true, lifetime: 60 },
    });
    network.contact('a', at(0), at(100));
    network.contact('b', at(30), at(200));
    traffic(network, at(40), at(50), seconds(1));
    traffic(network, at(150), at(160), seconds(1));
    network.runUntil(at(170));
    expect(network.dataReceived('spacecraft').filter((each) => each.at < at(60))).toHaveLength(20);
    expect(network.dataReceived('spacecraft').filter((each) => each.at > at(140))).toHaveLength(10);
  });

  test('the station in view is kept with `stay`', () => {
    const network = new Internetwork({ stations: [fast('a', 1), fast('b', 2)], mobileNode: { handover: 'stay' } });
    network.contact('a', at(0), at(100));
    network.contact('b', at(30), at(200));
    network.runUntil(at(200));
    const [first, second] = network.registrations();
    expect(first!.registration.link).toBe('a');
    expect(second!.at).toBeGreaterThan(at(100));
    expect(second!.registration.link).toBe('b');
  });

  test('home agent, foreign agent or mobile node killed 100 times at random: service is back within a registration', () => {
    const network = new Internetwork({
      stations: ['a', 'b', 'c'].map((name, i) => fast(name, i + 1)),
      foreignHome: true,
      mobileNode: { lifetime: 300 },
    });
    const names = ['a', 'b', 'c'];
    for (let i = 0; i <= 50; i++) network.contact(names[i % 3]!, at(i * 60), at(i * 60 + 70));
    for (let i = 0; i < 100; i++) {
      const when = seconds(10 + i * 29.7 + 10 * network.rng.uniform());
      const who = network.rng.below(3);
      network.at(when, () => {
        if (who === 0) network.restartHomeAgent();
        else if (who === 1) network.restartMobileNode();
        else for (const name of names) if (network.station(name).link.up) network.restartForeignAgent(name);
      });
    }
    const sent = traffic(network, at(5), at(3000), milliseconds(200));
    network.runUntil(at(3050));
    // A restarted foreign agent advertises (27 ms at 128 kbit/s), the registration takes a round trip and a second at most
    // since the one before; a lost message costs its repetition after one second.
    expect(longestGap(network, 'spacecraft')).toBeLessThan(3000);
    expect(longestGap(network, 'correspondent')).toBeLessThan(3000);
    expect(network.dataReceived('spacecraft').length).toBeGreaterThan(sent * 0.97);
    expect(network.homeAgent.bindings.size).toBe(1);
    expect(network.mobileNodeEvents.filter((event) => event.kind === 'denied')).toHaveLength(0);
    expect(network.leakedPackets()).toBe(0);
  });

  test('detection mode × uplink rate: the table of docs/mobile-ip.md', () => {
    const rows = (['advertisement', 'solicit', 'link-up'] as const).map((discovery) => {
      const cells = [2000, 9600, 32_000, 128_000].map((uplinkBitPerSec) => {
        const network = new Internetwork({
          stations: [
            candosStation('wallops', 1, {
              uplinkBitPerSec,
              link: { discovery },
              foreignAgent: { advertisement: discovery === 'advertisement' ? 'link-up' : 'solicited' },
            }),
          ],
        });
        network.contact('wallops', at(0), at(100));
        network.contact('wallops', at(5000), at(5600));
        network.runUntil(at(5600));
        const second = network.registrations().find((each) => each.at > at(5000))!;
        return Math.round(toMilliseconds((second.at - at(5000)) as Duration));
      });
      return `| ${discovery} | ${cells.join(' | ')} |`;
    });
    expect(rows).toMatchInlineSnapshot(`
      [
        "| advertisement | 588 | 170 | 93 | 68 |",
        "| solicit | 595 | 177 | 100 | 76 |",
        "| link-up | 363 | 119 | 74 | 60 |",
      ]
    `);
  });

  test('asymmetric stations: uplink through one, downlink through another', () => {
    const network = new Internetwork({
      stations: [
        // `up` transmits only, `down` receives only and passes what it hears to `up`.
        candosStation('up', 1, {
          downlinkBitPerSec: 0,
          foreignAgent: { returnStations: [0x0a020002] },
          link: { transmitVia: 'down' },
        }),
        candosStation('down', 2, { uplinkBitPerSec: 0, returnTo: 0x0a010002 }),
      ],
    });
    network.contact('down', at(0), at(600));
    network.contact('up', at(10), at(600));
    traffic(network, at(20), at(30), seconds(1));
    network.runUntil(at(40));
    expect(network.registrations().map((each) => each.registration.link)).toEqual(['up']);
    expect(network.dataReceived('spacecraft')).toHaveLength(10);
  });
});

function nonce() {
  return {
    homeAgent: { mobileAssociations: nonceAssociations() },
    mobileNode: { homeAssociation: nonceAssociation(), wallTime: () => 0n as never, lifetime: 300 },
  };
}
const nonceAssociation = () => association(MOBILE_SPI, { replay: 'nonce', algorithm: 'hmac-sha-256' });
const nonceAssociations = () => new SecurityAssociations().add(HOME, nonceAssociation());
