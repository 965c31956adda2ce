/** The data path with the real kernel at both ends: TUN, router, HDLC, channel, TUN. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Timeline } from '../../src/channel/index.ts';
import { ADDRESS_B, twoNodes } from '../support/two-nodes.ts';

const run = promisify(execFile);

test.skipIf(process.getuid?.() !== 0)(
  'ping crosses a 38.4k/9.6k link in the time that its bits take (needs root)',
  async () => {
    const testbed = await twoNodes({
      label: 'ping',
      up: { rate: Timeline.constant(9600), delay: Timeline.constant<number>(10e6) },
      down: { rate: Timeline.constant(38_400), delay: Timeline.constant<number>(10e6) },
    });
    try {
      const { stdout } = await run('ip', ['netns', 'exec', testbed.a, 'ping', '-c', '10', '-i', '0.3', ADDRESS_B]);
      const [minimum] = /= ([\d.]+)\//.exec(stdout)!.slice(1).map(Number);
      // 84 octets of IP, 4 of header, 2 of FCS and a flag, plus what stuffing adds: 728 bits at least each way.
      const least = 728 / 9.6 + 728 / 38.4 + 20;
      expect(stdout).toContain('10 received');
      expect(minimum).toBeGreaterThanOrEqual(least);
      expect(minimum).toBeLessThan(least * 1.05 + 5);
      const [up, down] = testbed.lines.map((line) => line.snapshot(testbed.driver.now()));
      expect(up!.packetsOut).toBe(10);
      expect(down!.packetsOut).toBe(10);
    } finally {
      testbed.close();
    }
  },
);
