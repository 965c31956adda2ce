/**
 * Two namespaces joined by one space link, run by the real driver in this process: the smallest real testbed, for tests and
 * benchmarks of the data path. Addresses 10.99.0.1 (a) and 10.99.0.2 (b); everything carries this process's id in its name.
 */
import { execFileSync } from 'node:child_process';
import { ALWAYS, Line, type LineOptions, type LineSettings, NO_NOISE, Timeline } from '../../src/channel/index.ts';
import { type LinkTap, PacketPool } from '../../src/core/index.ts';
import { frameRelay } from '../../src/hdlc/index.ts';
import { LinkDriver } from '../../src/io/link-driver.ts';
import { loadNative } from '../../src/io/native.ts';
import { parseIpv4, prefixOf } from '../../src/ip/index.ts';
import { Router } from '../../src/router/index.ts';

export interface TwoNodesOptions {
  readonly label?: string;
  readonly mtuOctets?: number;
  /** What the link carries, when less than the TUNs'. */
  readonly linkMtuOctets?: number;
  readonly up?: Partial<LineSettings>;
  readonly down?: Partial<LineSettings>;
  readonly line?: Partial<LineOptions>;
  readonly queuePackets?: number;
  readonly poolPackets?: number;
  readonly seed?: number;
  readonly tap?: LinkTap;
  readonly offloads?: boolean;
}

export interface TwoNodes {
  readonly a: string;
  readonly b: string;
  readonly driver: LinkDriver;
  /** a → b and b → a. */
  readonly lines: readonly [Line, Line];
  readonly routers: readonly [Router, Router];
  close(): void;
}

export const ADDRESS_A = '10.99.0.1';
export const ADDRESS_B = '10.99.0.2';

const settings = (given: Partial<LineSettings> | undefined): LineSettings => ({
  rate: Timeline.constant(1e7),
  delay: Timeline.constant<number>(0),
  jitter: Timeline.constant<number>(0),
  noise: Timeline.constant(NO_NOISE),
  ...given,
});

export async function twoNodes(options: TwoNodesOptions = {}): Promise<TwoNodes> {
  const native = await loadNative();
  const mtuOctets = options.mtuOctets ?? 1500;
  const names = ['a', 'b'].map((n) => `omni-${options.label ?? 'test'}-${process.pid}-${n}`) as [string, string];
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const made: string[] = [];
  const fds: number[] = [];
  const close = () => {
    driver.stop();
    for (const fd of fds) native.closeFd(fd);
    for (const name of made) ip('netns', 'del', name);
  };
  const slotOctets = (options.offloads === true ? 65_535 : mtuOctets) + 128;
  const pool = new PacketPool({ capacity: options.poolPackets ?? 8192, slotOctets });
  const driver = new LinkDriver({ native, pool, tap: options.tap, offloads: options.offloads === true });
  try {
    const addresses = [ADDRESS_A, ADDRESS_B] as const;
    for (const [i, name] of names.entries()) {
      ip('netns', 'add', name);
      made.push(name);
      execFileSync('ip', [
        'netns',
        'exec',
        name,
        'sysctl',
        '-qw',
        'net.ipv6.conf.all.disable_ipv6=1',
        'net.ipv4.conf.all.accept_local=1',
      ]);
      const { fd } = native.openTun({
        name: 'space0',
        netns: `/run/netns/${name}`,
        vnetHeader: options.offloads === true,
      });
      fds.push(fd);
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'address', 'add', `${addresses[i]}/32`, 'dev', 'space0');
      ip('-n', name, 'link', 'set', 'space0', 'mtu', String(mtuOctets), 'up');
      ip('-n', name, 'route', 'add', `${addresses[1 - i]}/32`, 'dev', 'space0');
    }
    const routers = names.map((_, i) => {
      return new Router({
        pool,
        interfaces: [
          { name: 'host', kind: 'host', mtuOctets, addresses: [parseIpv4(addresses[i]!)!] },
          {
            name: 'space',
            kind: 'link',
            mtuOctets: options.linkMtuOctets ?? mtuOctets,
            limit: { packets: options.queuePackets ?? 1000 },
          },
        ],
        routes: [{ prefix: prefixOf(parseIpv4(addresses[1 - i]!)!, 32), interface: 1 }],
        onOffer: (packet, output, now) => {
          if (output === 1) options.tap?.packetIn(0, i as 0 | 1, packet, now);
        },
        onDrop: (packet, reason, now, output) =>
          options.tap?.packetDropped(output === 1 ? 0 : -1, i as 0 | 1, packet, reason, now),
      });
    }) as [Router, Router];
    const lines = [options.up, options.down].map((given, direction) => {
      return new Line({
        name: `space.${direction === 0 ? 'up' : 'down'}`,
        link: 0,
        direction: direction as 0 | 1,
        seed: options.seed ?? 1,
        settings: settings(given),
        carrier: ALWAYS,
        inFlightAtLos: 'arrive',
        encapsulation: frameRelay(),
        fcs: 16,
        lineCoding: [],
        flagsBetweenFrames: 1,
        maximumFrameOctets: mtuOctets + 16,
        pool,
        source: routers[direction]!.output(1),
        tap: options.tap,
        ...options.line,
      });
    }) as [Line, Line];
    for (const [i, name] of names.entries()) driver.addNode({ name, router: routers[i]!, host: 0, tunFd: fds[i]! });
    driver.addSpan({ line: lines[0], from: 0, fromInterface: 1, to: 1, toInterface: 1, link: 0, direction: 0 });
    driver.addSpan({ line: lines[1], from: 1, fromInterface: 1, to: 0, toInterface: 1, link: 0, direction: 1 });
    driver.start();
    return { a: names[0], b: names[1], driver, lines, routers, close };
  } catch (error) {
    close();
    throw error;
  }
}
