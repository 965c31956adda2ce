/**
 * `omni fetch` and `omni put` across passes in a real testbed: 512 kbit/s down, 32 kbit/s up, BER 1e-6. With OMNI_HEAVY=full also
 * through outages of 8 minutes, where the time that the first progress line names is compared with the time it took; 20 minutes.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { PassTestbed, sha256 } from '../support/pass-testbed.ts';
import { noTestbeds, OMNI } from '../support/testbed.ts';

const skip = noTestbeds();
const full = process.env.OMNI_HEAVY === 'full';
const login = ['--user', 'operator:uosat12', '--json'];

describe.skipIf(skip !== undefined)(`across passes${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  let testbed: PassTestbed;
  afterEach(() => testbed.close());

  test('omni fetch and omni put know the passes, and verify', async () => {
    testbed = new PassTestbed({ prefix: 'fp', spacecraft: ['sat'], passSeconds: 20, gapSeconds: 5 });
    const commands = join(testbed.folder, 'commands');
    writeFileSync(commands, randomBytes(60_000));
    const put = await testbed.run('sat', 'up', OMNI, 'put', 'commands', 'sat:/commands', ...login);
    expect([put.code, put.err]).toEqual([0, expect.stringContaining('SHA-256 equal')]);
    expect(JSON.parse(put.out)).toMatchObject({ state: 'done', verified: 'sha256', movedOctets: 60_000 });
    expect(await sha256(join(testbed.files('sat'), 'commands'))).toBe(await sha256(commands));
    const fetch = await testbed.run('sat', 'down', OMNI, 'fetch', 'sat:/commands', 'back', ...login);
    expect(JSON.parse(fetch.out)).toMatchObject({ state: 'done', verified: 'sha256', movedOctets: 60_000 });
  });

  test.skipIf(!full)(
    'outages of 8 minutes: the first progress line knows when it will be done (OMNI_HEAVY=full)',
    async () => {
      const spacecraft = ['down', 'up'];
      testbed = new PassTestbed({ prefix: 'fl', spacecraft, passSeconds: 60, gapSeconds: 480 });
      const image = join(testbed.files('down'), 'image');
      const software = join(testbed.folder, 'software');
      writeFileSync(image, randomBytes(8_000_000));
      writeFileSync(software, randomBytes(500_000));
      // Each with a queue of its own: one queue does one transfer at a time.
      const both = await Promise.all([
        testbed.run('down', 'down', OMNI, 'fetch', 'down:/image', 'got', '--queue', 'q1', ...login),
        testbed.run('up', 'up', OMNI, 'put', 'software', 'up:/software', '--queue', 'q2', ...login),
      ]);
      for (const { code, out, err, passes, endedAt } of both) {
        console.log(err);
        expect([code, passes]).toEqual([0, 3]);
        expect(JSON.parse(out)).toMatchObject({ state: 'done', verified: 'sha256' });
        const [, hours, minutes, seconds] = /done about (\d\d):(\d\d):(\d\d) UTC \(3 passes\)/.exec(err)!;
        const named = Date.UTC(1970, 0, 1, Number(hours), Number(minutes), Number(seconds)) / 1000;
        const difference = ((endedAt / 1000 - named + 43_200) % 86_400) - 43_200;
        console.log(`done ${difference.toFixed(0)} s after the time that was named 18 minutes before`);
        expect(Math.abs(difference)).toBeLessThan(30);
      }
      expect(await sha256(join(testbed.folder, 'got'))).toBe(await sha256(image));
      expect(await sha256(join(testbed.files('up'), 'software'))).toBe(await sha256(software));
    },
    3_600_000,
  );
});
