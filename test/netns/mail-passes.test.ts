/**
 * Mail over a space link in real namespaces: `omni up`, a stock sender on the ground, a loss of signal, a killed link daemon, and the
 * letter in the spacecraft's Maildir; a data product that exceeds a pass comes down in parts and is one file again.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { afterAll, describe, expect, test } from 'vitest';
import { noTestbeds, onPath, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds() ?? (onPath('curl') ? undefined : 'needs curl');
if (reason !== undefined) console.log(`skipped: mail over passes: ${reason}`);

const PERIOD_SECONDS = 8;
const PASS_SECONDS = 5;
/** Two passes' worth at 64 kbit/s. */
const PRODUCT_OCTETS = 40_000;

describe.skipIf(reason !== undefined)('mail over passes in namespaces', () => {
  const sandbox = new TestbedSandbox('omm');
  const name = sandbox.prefix;
  const scenario = join(sandbox.directory, 'mail.yaml');
  const state = (node: string) => join(sandbox.directory, 'state', name, node);
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const until = async (what: string, condition: () => boolean | Promise<boolean>) => {
    for (const end = performance.now() + 120_000; !(await condition()); await pause(100))
      if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
  };
  /** Messages in a Maildir, wherever below a node's state it lies. */
  const mailbox = (node: string, box: string): string[] => {
    const found = readdirSync(state(node), { recursive: true, encoding: 'latin1' }).filter((path) =>
      path.includes(`mail/${box}/new/`),
    );
    return found.map((path) => readFileSync(join(state(node), path), 'latin1'));
  };
  afterAll(() => sandbox.close());

  test('a letter crosses a loss of signal and a killed link daemon, once; a product in parts arrives as one file', async () => {
    writeFileSync(
      scenario,
      `
name: ${name}
seed: 12
nodes:
  spacecraft:
    kind: spacecraft
    address: 10.97.0.1
    smtp:
      relayFor: [127.0.0.0/8, 10.97.0.0/24]
      routes: [{ domain: '*', host: surrey }]
      outbox: { partOctets: 20000, rules: [{ match: '*.img', to: [pi@surrey] }] }
  surrey:
    kind: ground-station
    address: 10.97.0.2
    smtp:
      relayFor: [127.0.0.0/8, 10.97.0.0/24]
      routes: [{ domain: spacecraft, host: spacecraft }]
links:
  space:
    between: [surrey, spacecraft]
    up: { rate: 64k, delay: 10ms, ber: 1e-7 }
    down: { rate: 64k, delay: 10ms, ber: 1e-7 }
    contacts: { period: ${PERIOD_SECONDS}s, duration: ${PASS_SECONDS}s, first: 2s }
`,
    );
    expect(await sandbox.run('up', scenario)).toMatchObject({ code: 0 });
    const product = randomBytes(PRODUCT_OCTETS);
    const outbox = readdirSync(state('spacecraft'), { recursive: true, encoding: 'utf8' }).find((path) =>
      /(^|\/)outbox$/.test(path),
    );
    expect(outbox).toBeDefined();
    writeFileSync(join(state('spacecraft'), `${outbox}.new`), product);
    renameSync(join(state('spacecraft'), `${outbox}.new`), join(state('spacecraft'), outbox!, 'earth.img'));
    // Too long for one pass, so that LOS falls into it.
    const body = `${'The quick brown fox jumps over the lazy dog.\r\n'.repeat(950)}.\r\nlast\r\n`;
    const letter = join(sandbox.directory, 'letter.eml');
    writeFileSync(letter, `From: ops@surrey\r\nTo: box@spacecraft\r\nSubject: across\r\n\r\n${body}`);
    const curl = ['curl', '-sS', '--url', 'smtp://127.0.0.1/me', '--mail-from', 'ops@surrey'];
    const sent = await sandbox.run('exec', 'surrey', '--', ...curl, '--mail-rcpt', 'box@spacecraft', '-T', letter);
    expect(sent).toMatchObject({ code: 0 });

    const queue = async () => {
      const { stdout } = await sandbox.run('mailq', 'surrey', '--json');
      return JSON.parse(stdout) as { queue: { id: string; tries: number; reason: string; predicted?: object }[] }[];
    };
    await until('the letter to be interrupted', async () => (await queue())[0]!.queue.some(({ tries }) => tries > 0));
    expect((await queue())[0]!.queue[0]).toMatchObject({ predicted: expect.anything() });
    const [status] = JSON.parse((await sandbox.run('status', '--json')).stdout) as { pid: number }[];
    process.kill(status!.pid, 'SIGKILL');
    await until('the testbed to be gone', () => spawnSync('kill', ['-0', String(status!.pid)]).status !== 0);
    await sandbox.run('down', name);
    expect(await sandbox.run('up', scenario)).toMatchObject({ code: 0 });

    await until('the letter', () => mailbox('spacecraft', 'box').length > 0);
    await until('the product', () => mailbox('surrey', 'pi').length > 0);
    await until('an empty queue', async () => (await queue())[0]!.queue.length === 0);
    expect(mailbox('spacecraft', 'box')).toHaveLength(1);
    expect(mailbox('spacecraft', 'box')[0]!.endsWith(body.replaceAll('\r\n', '\n'))).toBe(true);
    expect(mailbox('surrey', 'pi')).toHaveLength(1);
    const { attachments } = await PostalMime.parse(Buffer.from(mailbox('surrey', 'pi')[0]!, 'latin1'));
    expect(attachments).toHaveLength(1);
    const digest = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');
    expect(digest(new Uint8Array(attachments[0]!.content as ArrayBuffer))).toBe(digest(product));
  }, 180_000);
});
