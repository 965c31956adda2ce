// The kernel does what RouteSocket asks for, as `ip` sees it, in a namespace of the test's own.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadNative } from '../../src/io/native.ts';
import { RouteSocket } from '../../src/io/rtnetlink.ts';
import { ip as addressOf } from '../support/mobileip.ts';
import { noTestbeds } from '../support/testbed.ts';

const reason = noTestbeds();
if (reason !== undefined) console.log(`skipped: routes and rules by rtnetlink: ${reason}`);
const LOOPBACK = 1;

describe.skipIf(reason !== undefined)('rtnetlink', () => {
  const namespace = `omni-rtnetlink-${process.pid}`;
  const ip = (...args: string[]) => spawnSync('ip', ['-n', namespace, ...args], { encoding: 'utf8' }).stdout;
  let socket: RouteSocket;
  beforeAll(async () => {
    spawnSync('ip', ['netns', 'add', namespace]);
    ip('link', 'set', 'lo', 'up');
    socket = new RouteSocket(await loadNative(), `/run/netns/${namespace}`);
  });
  afterAll(() => {
    socket.close();
    spawnSync('ip', ['netns', 'del', namespace]);
  });

  test('a route is made, made again, and removed; removed again it is still gone', () => {
    const route = {
      destination: addressOf('10.9.0.5'),
      prefixLength: 32,
      interfaceIndex: LOOPBACK,
      protocol: 144,
    };
    for (let i = 0; i < 2; i++) {
      socket.replaceRoute(route);
      expect(ip('route', 'show', 'proto', '144').trim()).toBe('10.9.0.5 dev lo scope link');
    }
    // Of another protocol it is somebody else's.
    socket.removeRoute({ ...route, protocol: 145 });
    expect(ip('route', 'show', 'proto', '144')).not.toBe('');
    for (let i = 0; i < 2; i++) {
      socket.removeRoute(route);
      expect(ip('route', 'show')).toBe('');
    }
  });

  test('a rule for what comes in from one source', () => {
    const rule = { inputInterface: 'space0', source: addressOf('10.9.0.5'), table: 434, priority: 434 };
    const shown = () =>
      ip('rule', 'show')
        .split('\n')
        .filter((line) => line.startsWith('434:'));
    for (let i = 0; i < 2; i++) {
      socket.addRule(rule);
      expect(shown()).toEqual(['434:\tfrom 10.9.0.5 iif space0 [detached] lookup 434']);
    }
    for (let i = 0; i < 2; i++) {
      socket.removeRule(rule);
      expect(shown()).toEqual([]);
    }
  });

  test('what the kernel refuses is told by its name', () => {
    const route = { destination: addressOf('10.9.0.5'), prefixLength: 32, interfaceIndex: 4711, protocol: 144 };
    expect(() => socket.replaceRoute(route)).toThrow('adding the route to 10.9.0.5/32: ENODEV');
  });
});
