/** Quotas and full disks: the refusal comes in time and the old file stays. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { hashPassword } from '../../src/io/ftp-accounts.ts';
import { BareClient, startTestServer, type TestServer } from '../support/ftp-server.ts';

let served: TestServer;
afterEach(() => served.stop());

describe('quotas', () => {
  test('octets: what does not fit is 552, the old file stays, and replacing counts the difference', async () => {
    served = await startTestServer({ users: [{ name: 'op', quotaOctets: 100_000 }] });
    const client = await BareClient.logIn(served.port);
    expect((await client.store('STOR a', Buffer.alloc(90_000, 'a'))).code).toBe(226);
    expect((await client.store('STOR b', Buffer.alloc(20_000))).code).toBe(552);
    expect((await client.store('STOR a', Buffer.alloc(200_000))).code).toBe(552);
    expect(readFileSync(join(served.root, 'a')).equals(Buffer.alloc(90_000, 'a'))).toBe(true);
    expect((await client.store('STOR a', Buffer.alloc(95_000, 'b'))).code).toBe(226);
    expect((await client.store('APPE a', Buffer.alloc(6_000))).code).toBe(552);
    expect(statSync(join(served.root, 'a')).size).toBe(95_000);
    expect((await client.say('ALLO 6000')).code).toBe(452);
    expect((await client.say('ALLO 4000')).code).toBe(200);
    client.close();
  });

  test('files and directories', async () => {
    served = await startTestServer({ users: [{ name: 'op', quotaFiles: 2 }] });
    const client = await BareClient.logIn(served.port);
    expect((await client.say('MKD d')).code).toBe(257);
    expect((await client.store('STOR d/a', Buffer.from('x'))).code).toBe(226);
    expect((await client.store('STOR d/b', Buffer.from('x'))).code).toBe(552);
    expect((await client.say('MKD e')).code).toBe(552);
    expect((await client.store('STOR d/a', Buffer.from('new'))).code).toBe(226);
    client.close();
  });
});

const mayMount = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;

test.skipIf(!mayMount)(
  'a full disk is 452, the old file is intact, and there is room again (needs root for a small tmpfs)',
  async () => {
    const folder = join(tmpdir(), `omni-ftp-disk-${process.pid}`);
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
    try {
      served = await startTestServer({}, { root: folder });
      const client = await BareClient.logIn(served.port);
      writeFileSync(join(folder, 'a'), 'old file');
      expect((await client.store('STOR a', Buffer.alloc(1_000_000))).code).toBe(452);
      expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old file');
      expect(readdirSync(folder)).toEqual(['a']);
      expect((await client.store('APPE a', Buffer.alloc(1_000_000))).code).toBe(452);
      expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old file');
      expect((await client.store('STOR b', Buffer.alloc(100_000))).code).toBe(226);
      client.close();
      await served.server.close(0);
    } finally {
      execFileSync('umount', [folder]);
      rmSync(folder, { recursive: true });
    }
  },
);

describe('accounts', () => {
  test('folders of their own, read-only ones, scrypt passwords', async () => {
    served = await startTestServer({
      users: [
        { name: 'imager', folder: 'images', password: await hashPassword('pä ss') },
        { name: 'guest', readOnly: true },
      ],
    });
    mkdirSync(join(served.root, 'images'));
    writeFileSync(join(served.root, 'above'), 'x');
    const imager = await BareClient.connect(served.port);
    await imager.reply();
    await imager.say('USER imager');
    expect((await imager.say(`PASS ${Buffer.from('pä ss').toString('latin1')}`)).code).toBe(230);
    expect((await imager.say('SIZE /../above')).code).toBe(550);
    await imager.store('STOR new', Buffer.from('image'));
    expect(readFileSync(join(served.root, 'images', 'new'), 'utf8')).toBe('image');
    const guest = await BareClient.logIn(served.port, '127.0.0.1', 'guest');
    expect((await guest.fetch('RETR images/new')).octets.toString()).toBe('image');
    expect((await guest.store('STOR images/new', Buffer.from('x'))).code).toBe(550);
    imager.close();
    guest.close();
  });
});
