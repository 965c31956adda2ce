import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { activeListener, BareClient, startTestServer, type TestServer } from '../support/ftp-server.ts';

let served: TestServer;
let client: BareClient;

beforeEach(async () => {
  served = await startTestServer();
  client = await BareClient.logIn(served.port);
});
afterEach(async () => {
  client.close();
  await served.stop();
});

const put = (name: string, content: string | Uint8Array): void => writeFileSync(join(served.root, name), content);
const onDisk = (name: string): string => readFileSync(join(served.root, name), 'utf8');

describe('transfers', () => {
  test('store, list, fetch, delete', async () => {
    expect((await client.store('STOR a.txt', Buffer.from('hello\n'))).code).toBe(226);
    expect(onDisk('a.txt')).toBe('hello\n');
    expect((await client.fetch('NLST')).octets.toString()).toBe('a.txt\r\n');
    expect((await client.fetch('LIST -al')).octets.toString()).toMatch(
      /^-rw-r--r--\s+1 ftp\s+ftp\s+6 \w{3} [ \d]\d \d\d:\d\d a\.txt\r\n$/,
    );
    expect((await client.fetch('RETR a.txt')).octets.toString()).toBe('hello\n');
    expect((await client.say('DELE a.txt')).code).toBe(250);
    expect(existsSync(join(served.root, 'a.txt'))).toBe(false);
  });

  test('a missing file is refused before the data connection; so is a transfer without a route', async () => {
    await client.say('PASV');
    expect((await client.say('RETR missing')).code).toBe(550);
    expect((await client.say('RETR missing')).code).toBe(550);
    put('here', 'x');
    await client.store('STOR other', Buffer.from('y'));
    expect((await client.say('RETR here')).code).toBe(425);
  });

  test('restart of a download; beyond the end is refused at RETR', async () => {
    put('a', '0123456789');
    expect((await client.say('REST 4')).code).toBe(350);
    expect((await client.fetch('RETR a')).octets.toString()).toBe('456789');
    await client.say('REST 10');
    const atEnd = await client.fetch('RETR a');
    expect([atEnd.octets.length, atEnd.last.code]).toEqual([0, 226]);
    await client.say('REST 11');
    expect((await client.fetch('RETR a')).first.code).toBe(554);
    // The marker is used up.
    expect((await client.fetch('RETR a')).octets.length).toBe(10);
  });

  test('restart of an upload keeps the head and truncates the tail', async () => {
    put('a', '0123456789');
    await client.say('REST 4');
    expect((await client.store('STOR a', Buffer.from('xyz'))).code).toBe(226);
    expect(onDisk('a')).toBe('0123xyz');
    await client.say('REST 99');
    expect((await client.store('STOR a', Buffer.from('!'))).code).toBe(554);
    expect(onDisk('a')).toBe('0123xyz');
    expect((await client.store('APPE a', Buffer.from('+'))).code).toBe(226);
    expect(onDisk('a')).toBe('0123xyz+');
  });

  test('STOU answers with the name', async () => {
    put('img', 'old');
    const data = await client.passive();
    const first = await client.say('STOU img');
    expect(first).toEqual({ code: 150, text: 'FILE: /img.1' });
    data.end('new');
    expect((await client.reply()).code).toBe(226);
    expect([onDisk('img'), onDisk('img.1')]).toEqual(['old', 'new']);
  });

  test('ASCII translates line ends both ways; SIZE counts what would be sent', async () => {
    await client.say('TYPE A');
    expect((await client.store('STOR t', Buffer.from('one\r\ntwo\r\n'))).code).toBe(226);
    expect(onDisk('t')).toBe('one\ntwo\n');
    expect((await client.say('SIZE t')).text).toBe('10');
    expect((await client.fetch('RETR t')).octets.toString()).toBe('one\r\ntwo\r\n');
    await client.say('REST 5');
    expect((await client.fetch('RETR t')).octets.toString()).toBe('two\r\n');
  });

  test('active mode with PORT and EPRT', async () => {
    put('a', 'active');
    for (const command of ['PORT', 'EPRT']) {
      const { port, received } = await activeListener();
      const argument = command === 'PORT' ? `127,0,0,1,${port >> 8},${port & 255}` : `|1|127.0.0.1|${port}|`;
      expect((await client.say(`${command} ${argument}`)).code).toBe(200);
      expect((await client.say('RETR a')).code).toBe(150);
      expect((await received).toString()).toBe('active');
      expect((await client.reply()).code).toBe(226);
    }
  });

  test('IPv6: EPSV and EPRT work, PASV says why not', async () => {
    const six = await BareClient.logIn(served.port6, '::1');
    put('a', 'six');
    expect((await six.say('PASV')).code).toBe(425);
    const port = Number(/\|\|\|(\d+)\|/.exec((await six.say('EPSV')).text)![1]);
    const data = connect({ host: '::1', port });
    data.setEncoding('latin1');
    let got = '';
    data.on('data', (chunk) => {
      got += String(chunk);
    });
    await six.say('RETR a');
    expect((await six.reply()).code).toBe(226);
    expect(got).toBe('six');
    const { port: own, received } = await activeListener('::1');
    expect((await six.say(`EPRT |2|::1|${own}|`)).code).toBe(200);
    await six.say('RETR a');
    expect((await received).toString()).toBe('six');
    six.close();
  });
});

describe('interrupted uploads', () => {
  /** Sends part of a file, makes sure it has arrived, and leaves. */
  async function interrupt(name: string, part: string, how: 'drop' | 'abort'): Promise<void> {
    const data = await client.passive();
    await client.say(`STOR ${name}`);
    data.write(part);
    while (!(await client.say('STAT')).text.includes(`${part.length} octets so far`));
    if (how === 'abort') {
      client.send('ABOR\r\n');
      expect([(await client.reply()).code, (await client.reply()).code]).toEqual([426, 226]);
    } else {
      data.resetAndDestroy();
      expect((await client.reply()).code).toBe(426);
    }
  }

  test.each(['drop', 'abort'] as const)(
    '%s: what arrived is seen and resumed, and appears only when whole',
    async (how) => {
      await interrupt('new', 'abcde', how);
      expect(existsSync(join(served.root, 'new'))).toBe(false);
      // One less than is there, see below; who knows better may go on at the end.
      expect((await client.say('SIZE new')).text).toBe('4');
      expect((await client.say('MLST new')).text).toContain('Size=4;');
      expect((await client.fetch('MLSD')).octets.toString()).toContain('Size=4;');
      expect((await client.fetch('RETR new')).octets.toString()).toBe('abcd');
      expect((await client.fetch('NLST')).octets.toString()).toBe('new\r\n');
      await client.say('REST 5');
      expect((await client.store('STOR new', Buffer.from('fgh'))).code).toBe(226);
      expect(onDisk('new')).toBe('abcdefgh');
      expect(readdirSync(served.root)).toEqual(['new']);
    },
  );

  test('APPE continues one as well', async () => {
    await interrupt('new', 'abcde', 'drop');
    expect((await client.store('APPE new', Buffer.from('efgh'))).code).toBe(226);
    expect(onDisk('new')).toBe('abcdefgh');
  });

  test('the file that was to be replaced stays whole on the disk until the new one is', async () => {
    put('a', 'old content');
    await interrupt('a', 'new', 'drop');
    expect(onDisk('a')).toBe('old content');
    expect((await client.say('SIZE a')).text).toBe('2');
    await client.say('REST 2');
    await client.store('STOR a', Buffer.from('wer'));
    expect(onDisk('a')).toBe('newer');
  });

  test('deleting and renaming take it along', async () => {
    await interrupt('a', 'part', 'drop');
    await client.say('RNFR a');
    expect((await client.say('RNTO b')).code).toBe(250);
    expect((await client.say('SIZE b')).text).toBe('3');
    expect((await client.say('DELE b')).code).toBe(250);
    expect(readdirSync(served.root)).toEqual([]);
  });

  test('a client that vanishes with both connections leaves no file that looks whole', async () => {
    const data = await client.passive();
    await client.say('STOR a');
    data.write('part');
    while (!(await client.say('STAT')).text.includes('4 octets so far'));
    client.socket.end();
    await new Promise((resolve) => setImmediate(resolve));
    data.end();
    while ((served.server.status().sessions as unknown[]).length > 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(existsSync(join(served.root, 'a'))).toBe(false);
  });

  test('what a killed client leaves under way arrives after its control connection ended, and need not be sent again', async () => {
    const data = await client.passive();
    // Told before the end, and not done: the client may have sent it for a file that never came whole.
    client.send('STOR a\r\nMKD never\r\n');
    expect((await client.reply()).code).toBe(150);
    data.write('first, ');
    client.socket.end();
    while (!served.log.some((line) => line.includes('control='))) await new Promise((resolve) => setImmediate(resolve));
    data.end('and the rest');
    while ((served.server.status().sessions as unknown[]).length > 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(existsSync(join(served.root, 'a'))).toBe(false);
    expect(existsSync(join(served.root, 'never'))).toBe(false);
    const again = await BareClient.logIn(served.port);
    // All of it had come, which only the client knows: told so, it would not come back, and the file would never have its name.
    expect((await again.say('SIZE a')).text).toBe('18');
    expect((await again.store('APPE a', Buffer.from('t'))).code).toBe(226);
    expect(onDisk('a')).toBe('first, and the rest');
    again.close();
  });

  test('a returning client takes the upload over from its own hanging session; another user is told it is busy', async () => {
    const data = await client.passive();
    await client.say('STOR a');
    data.write('abc');
    while (!(await client.say('STAT')).text.includes('3 octets so far'));
    const again = await BareClient.logIn(served.port);
    expect((await again.say('SIZE a')).text).toBe('2');
    await again.say('REST 2');
    expect((await again.store('STOR a', Buffer.from('cdef'))).code).toBe(226);
    expect((await client.reply()).code).toBe(426);
    expect(onDisk('a')).toBe('abcdef');
    again.close();
  });

  test('APPE goes on at the size that the client was told, though its hanging session has received more since', async () => {
    const data = await client.passive();
    await client.say('STOR a');
    data.write('abc');
    while (!(await client.say('STAT')).text.includes('3 octets so far'));
    const again = await BareClient.logIn(served.port);
    expect((await again.say('SIZE a')).text).toBe('2');
    data.write('de');
    while (!(await client.say('STAT')).text.includes('5 octets so far'));
    expect((await again.store('APPE a', Buffer.from('cdef'))).code).toBe(226);
    expect(onDisk('a')).toBe('abcdef');
    again.close();
  });

  test.each(['ABOR', 'the end of the control connection'])(
    '%s throws away what the kernel holds of a download',
    async (how) => {
      put('large', 'x'.repeat(20_000_000));
      const data = await client.passive();
      data.pause();
      let received = 0;
      client.send('RETR large\r\n');
      await client.reply();
      let sent = 0;
      for (let before = -1; sent === 0 || sent !== before; ) {
        before = sent;
        sent = Number(/(\d+) octets so far/.exec((await client.say('STAT')).text)![1]);
      }
      if (how === 'ABOR') {
        client.send('ABOR\r\n');
        expect([(await client.reply()).code, (await client.reply()).code]).toEqual([426, 226]);
      } else {
        client.socket.end();
        while ((served.server.status().sessions as unknown[]).length > 0)
          await new Promise((resolve) => setImmediate(resolve));
      }
      data.on('data', (chunk) => {
        received += chunk.length;
      });
      data.resume();
      await new Promise((resolve) => data.once('close', resolve));
      expect(received).toBeLessThan(sent);
    },
  );
});

describe('the tree', () => {
  test('nothing outside the root: dots, links, absolute names', async () => {
    const outside = mkdtempSync(join(tmpdir(), `omni-outside-${process.pid}-`));
    try {
      writeFileSync(join(outside, 'secret'), 'secret');
      symlinkSync(outside, join(served.root, 'link'));
      symlinkSync(join(outside, 'secret'), join(served.root, 'file'));
      symlinkSync('..', join(served.root, 'up'));
      for (const path of [
        'link/secret',
        'file',
        '../../../../etc/passwd',
        'up/secret',
        'link/../../etc/passwd',
        '/link/secret',
      ])
        expect((await client.fetch(`RETR ${path}`)).first.code, path).toBe(550);
      for (const path of ['link/new', 'link/secret', 'file', 'up/new']) {
        expect((await client.store(`STOR ${path}`, Buffer.from('x'))).code, path).toBeGreaterThanOrEqual(500);
        expect((await client.say(`CWD ${path}`)).code, path).toBe(550);
        expect((await client.say(`MKD ${path}/d`)).code, path).toBe(550);
      }
      expect((await client.fetch('LIST')).octets.toString()).toBe('');
      expect(readdirSync(outside)).toEqual(['secret']);
      expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
      // Deleting a link deletes the link.
      expect((await client.say('DELE file')).code).toBe(250);
      expect(existsSync(join(outside, 'secret'))).toBe(true);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  test('a link inside the root is followed', async () => {
    mkdirSync(join(served.root, 'd'));
    put('d/a', 'inside');
    symlinkSync('d/a', join(served.root, 'l'));
    expect((await client.fetch('RETR l')).octets.toString()).toBe('inside');
    expect((await client.fetch('LIST l')).octets.toString()).toContain(' 6 ');
  });

  test('directories, renaming, quoting in 257', async () => {
    expect((await client.say('MKD a "b" c')).text).toBe('"/a ""b"" c" created.');
    expect((await client.say('CWD a "b" c')).code).toBe(250);
    expect((await client.say('PWD')).text).toBe('"/a ""b"" c" is the working directory.');
    expect((await client.say('CDUP')).code).toBe(250);
    expect((await client.say('RNTO x')).code).toBe(503);
    expect((await client.say('RNFR a "b" c')).code).toBe(350);
    expect((await client.say('RNTO x')).code).toBe(250);
    expect((await client.say('RMD x')).code).toBe(250);
    expect((await client.say('RMD /')).code).toBe(550);
  });

  test('names of any octets survive', async () => {
    const name = Buffer.from([0x66, 0xfc, 0x20, 0xe2, 0x82, 0xac]).toString('latin1');
    await client.store(`STOR ${name}`, Buffer.from('x'));
    expect((await client.fetch('NLST')).octets.toString('latin1')).toBe(`${name}\r\n`);
    expect(readdirSync(served.root, { encoding: 'buffer' })[0]!.toString('latin1')).toBe(name);
  });

  test('patterns in LIST and NLST; the names can be used as they are', async () => {
    mkdirSync(join(served.root, 'd'));
    for (const name of ['a.png', 'b.png', 'c.txt', 'd/e.png']) put(name, '');
    expect((await client.fetch('NLST *.png')).octets.toString()).toBe('a.png\r\nb.png\r\n');
    expect((await client.fetch('NLST d/*.png')).octets.toString()).toBe('d/e.png\r\n');
    expect((await client.fetch('NLST d')).octets.toString()).toBe('d/e.png\r\n');
    expect((await client.fetch('NLST *.gif')).first.code).toBe(550);
  });
});

describe('the control connection', () => {
  test('commands split anywhere, pipelined, with LF only', async () => {
    for (const octet of Buffer.from('NOOP\r\nPWD\nSYST\r\n')) client.send(Uint8Array.of(octet));
    expect([(await client.reply()).code, (await client.reply()).code, (await client.reply()).code]).toEqual([
      200, 257, 215,
    ]);
  });

  test('a line over the limit is refused and the next one works', async () => {
    client.send(`CWD ${'x'.repeat(100_000)}\r\nNOOP\r\n`);
    expect([(await client.reply()).code, (await client.reply()).code]).toEqual([500, 200]);
  });

  test('Telnet: negotiations are refused, SYNCH before ABOR is ignored', async () => {
    client.send(Uint8Array.of(255, 251, 1, 255, 244, 255, 242));
    client.send('ABOR\r\n');
    expect((await client.reply()).code).toBe(226);
  });

  test('only the client’s own address and ports above 1023', async () => {
    expect((await client.say('PORT 127,0,0,2,200,1')).code).toBe(501);
    expect((await client.say('PORT 127,0,0,1,0,80')).code).toBe(501);
    expect((await client.say('EPRT |2|::1|5000|')).code).toBe(501);
    expect((await client.say('EPRT |3|::1|5000|')).code).toBe(522);
  });

  test('EPSV ALL closes the other ways', async () => {
    expect((await client.say('EPSV ALL')).code).toBe(200);
    expect((await client.say('PASV')).code).toBe(501);
    expect((await client.say('EPSV')).code).toBe(229);
  });

  test('wrong passwords: three per session', async () => {
    const guess = await BareClient.connect(served.port);
    await guess.reply();
    await guess.say('USER op');
    expect((await guess.say('PASS wrong')).code).toBe(530);
    expect((await guess.say('PASS wrong')).code).toBe(503);
    expect((await guess.say('LIST')).code).toBe(530);
    guess.close();
  });
});
