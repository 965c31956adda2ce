/** Path MTU discovery by the real kernels: two namespaces, TUNs of 1500, and a link between them that carries 576. */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ADDRESS_A, ADDRESS_B, twoNodes } from '../support/two-nodes.ts';

const run = promisify(execFile);
const OCTETS = 200_000;

const SINK = `
const server = require('net').createServer((socket) => {
  let count = 0;
  socket.on('data', (data) => { count += data.length; });
  socket.on('end', () => { console.log(count); socket.end('done'); server.close(); });
});
server.listen(5999, '0.0.0.0', () => console.log('listening'));`;
const SOURCE = `
const socket = require('net').connect(5999, '${ADDRESS_B}', () => socket.end(Buffer.alloc(${OCTETS}, 1)));
socket.on('data', (data) => process.stdout.write(data));`;

test.skipIf(process.getuid?.() !== 0)(
  'stock TCP with segments for 1500 finds an MTU of 576, from the node’s own router’s fragmentation needed (needs root)',
  async () => {
    const testbed = await twoNodes({ label: 'pmtu', mtuOctets: 1500, linkMtuOctets: 576 });
    try {
      const inside = (node: string) => ['netns', 'exec', node];
      const sink = spawn('ip', [...inside(testbed.b), process.execPath, '-e', SINK]);
      let said = '';
      sink.stdout.on('data', (data) => {
        said += data;
      });
      await new Promise<void>((resolve) => sink.stdout.once('data', () => resolve()));
      const { stdout } = await run('ip', [...inside(testbed.a), process.execPath, '-e', SOURCE]);
      expect(stdout).toBe('done');
      expect(said).toContain(String(OCTETS));
      const { stdout: route } = await run('ip', ['-n', testbed.a, 'route', 'get', ADDRESS_B]);
      expect(route).toContain('mtu 576');
      const { output, input } = testbed.routers[0].snapshot(testbed.driver.now()).interfaces[1]!;
      expect(output.octets / output.packets).toBeLessThanOrEqual(576);
      expect(input.packets).toBeGreaterThan(0);
      expect(testbed.routers[0].snapshot(testbed.driver.now()).interfaces[0]!.input.dropped.mtu).toBeGreaterThan(0);
      for (const router of testbed.routers) expect(router.imbalance()).toBe(0);

      // Without DF the router fragments and the far kernel puts together again.
      const { stdout: ping } = await run('ip', [
        ...inside(testbed.b),
        'ping',
        '-M',
        'dont',
        '-s',
        '1400',
        '-c',
        '3',
        '-i',
        '0.2',
        ADDRESS_A,
      ]);
      expect(ping).toContain('3 received');
    } finally {
      testbed.close();
    }
  },
);
