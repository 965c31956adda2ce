/** What a hostile client may try on the relay, over real sockets on loopback. */
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay, testCertificate } from '../../support/mail/local-relay.ts';
import { Talk } from '../../support/mail/talk.ts';

const open: LocalRelay[] = [];
async function relay(...args: Parameters<typeof localRelay>): Promise<LocalRelay> {
  const made = await localRelay(...args);
  open.push(made);
  return made;
}
afterEach(async () => {
  for (const made of open.splice(0)) await made.close();
});

async function session(port: number): Promise<Talk> {
  const talk = await Talk.open(port);
  await talk.say('EHLO client.test');
  return talk;
}
async function data(talk: Talk, message: string, to = 'box@relay.test'): Promise<string> {
  expect(await talk.say('MAIL FROM:<a@client.test>')).toMatch(/^250/);
  expect(await talk.say(`RCPT TO:<${to}>`)).toMatch(/^250/);
  expect(await talk.say('DATA')).toMatch(/^354/);
  talk.write(message);
  return talk.reply();
}
const leftovers = (r: LocalRelay) =>
  ['incoming', 'messages', 'envelopes'].flatMap((name) => readdirSync(join(r.folder, 'queue', name)));

describe('smuggling (RFC 5321 section 2.3.8)', () => {
  const forms = {
    'LF dot LF': '\n.\n',
    'LF dot CRLF': '\n.\r\n',
    'CR dot CR': '\r.\r',
    'CR dot CRLF': '\r.\r\n',
    'CRLF dot LF': '\r\n.\n',
    'CRLF dot CR': '\r\n.\r',
    'LF LF dot CRLF': '\n\n.\r\n',
  };
  for (const [name, form] of Object.entries(forms))
    it(`${name} ends no message, and the message that has it is refused whole`, async () => {
      const r = await relay();
      const talk = await session(r.port);
      const second = 'MAIL FROM:<evil@x>\r\nRCPT TO:<box@relay.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx';
      expect(await data(talk, `Subject: first\r\n\r\nhello${form}${second}\r\n.\r\n`)).toMatch(/^550 5\.6\.0/);
      expect(await talk.say('NOOP')).toMatch(/^250/);
      talk.end();
      expect(r.mailbox('box')).toEqual([]);
      expect(leftovers(r)).toEqual([]);
    });

  it('sends nothing onward that a lenient server could take for an end', async () => {
    const seen: string[] = [];
    const lenient = createServer((socket) => {
      let inData = false;
      socket.write('220 lenient\r\n');
      socket.on('error', () => {});
      socket.on('data', (octets) => {
        const text = octets.toString('latin1');
        seen.push(text);
        if (inData) {
          if (text.endsWith('\r\n.\r\n')) {
            inData = false;
            socket.write('250 ok\r\n');
          }
          return;
        }
        for (const line of text.split('\r\n').slice(0, -1)) {
          if (line === 'DATA') inData = true;
          socket.write(
            line === 'DATA' ? '354 go\r\n' : line.startsWith('EHLO') ? '250-hi\r\n250 8BITMIME\r\n' : '250 ok\r\n',
          );
        }
      });
    });
    await new Promise<void>((resolve) => lenient.listen(0, '127.0.0.1', resolve));
    const { port } = lenient.address() as { port: number };
    const r = await relay({
      policy: {
        domains: ['relay.test'],
        relayFor: ['127.0.0.0/8'],
        routes: [{ domain: '*', host: '127.0.0.1', port, peers: undefined, tls: 'never' }],
      },
    });
    const talk = await session(r.port);
    const lines = ['Subject: dots', '', '..', '...x', 'line', '..', 'end'];
    expect(await data(talk, `${lines.join('\r\n')}\r\n.\r\n`, 'b@far.test')).toMatch(/^250/);
    await r.until(() => r.mail.relay.counters.delivered === 1);
    talk.end();
    lenient.close();
    const sent = seen.join('');
    const body = sent.slice(sent.indexOf('Received:'), sent.indexOf('\r\n.\r\n'));
    expect(body).not.toMatch(/[^\r]\n|\r[^\n]|(^|[\r\n])\.[\r\n]/);
    expect(body.endsWith('\r\n..\r\n...x\r\nline\r\n..\r\nend')).toBe(true);
  });
});

describe('STARTTLS', () => {
  const tls = testCertificate();
  it.skipIf(tls === undefined)('drops what was pipelined in the clear behind it (CVE-2011-0411)', async () => {
    const r = await relay({ tls: tls!, authenticate: async (u, p) => u === 'u' && p === 'secret' });
    const talk = await session(r.port);
    talk.write('STARTTLS\r\nMAIL FROM:<injected@evil>\r\nRCPT TO:<box@relay.test>\r\n');
    expect(await talk.reply()).toMatch(/^220/);
    await talk.startTls();
    expect(await talk.say('EHLO client.test')).toMatch(/^250-/);
    expect(await talk.say('RCPT TO:<box@relay.test>')).toMatch(/^503/);
    talk.end();
  });

  it.skipIf(tls === undefined)(
    'AUTH PLAIN is offered over TLS alone, and opens the relay to its user alone',
    async () => {
      const r = await relay({
        tls: tls!,
        authenticate: async (u, p) => u === 'u' && p === 'secret',
        policy: {
          domains: ['relay.test'],
          relayFor: [],
          routes: [{ domain: '*', host: '127.0.0.1', port: 9, peers: [], tls: 'never' }],
        },
        contacts: { always: false, next: () => [] },
      });
      const talk = await Talk.open(r.port);
      expect(await talk.say('EHLO client.test')).not.toContain('AUTH');
      const token = Buffer.from('\0u\0secret').toString('base64');
      expect(await talk.say(`AUTH PLAIN ${token}`)).toMatch(/^538/);
      await talk.say('STARTTLS');
      await talk.startTls();
      expect(await talk.say('EHLO client.test')).toMatch(/AUTH PLAIN/);
      await talk.say('MAIL FROM:<a@b>');
      expect(await talk.say('RCPT TO:<x@far.test>')).toMatch(/^554 5\.7\.1/);
      await talk.say('RSET');
      expect(await talk.say(`AUTH PLAIN ${Buffer.from('\0u\0wrong').toString('base64')}`)).toMatch(/^535/);
      expect(await talk.say(`AUTH PLAIN ${token}`)).toMatch(/^235/);
      await talk.say('MAIL FROM:<a@b>');
      expect(await talk.say('RCPT TO:<x@far.test>')).toMatch(/^250/);
      talk.end();
    },
  );
});

describe('policy', () => {
  it('is never an open relay, however the address is written', async () => {
    const r = await relay({
      policy: {
        domains: ['relay.test'],
        relayFor: ['10.0.0.0/8'],
        routes: [{ domain: '*', host: '127.0.0.1', port: 9, peers: undefined, tls: 'never' }],
      },
    });
    const talk = await session(r.port);
    await talk.say('MAIL FROM:<a@relay.test>');
    for (const address of [
      'x@far.test',
      '@relay.test:x@far.test',
      'x@far.test@relay.test',
      '"x@far.test"@relay.test',
      'x%far.test@',
      'x@[192.0.2.1]',
      'x@sub.relay.test',
      'far.test!x@',
    ])
      expect(await talk.say(`RCPT TO:<${address}>`), address).toMatch(/^5/);
    // The percent hack is a local part like any other: it stays here.
    expect(await talk.say('RCPT TO:<x%far.test@relay.test>')).toMatch(/^250/);
    talk.end();
  });

  it('limits recipients, header sections, sizes and loops, and tells what would fit', async () => {
    const r = await relay({ limits: { recipients: 3, headerOctets: 2000, messageOctets: 50_000, received: 5 } });
    const talk = await session(r.port);
    expect(await talk.say('MAIL FROM:<a@b> SIZE=60000')).toMatch(/^552 5\.3\.4 .*50000/);
    expect(await data(talk, `X: ${'y'.repeat(3000)}\r\n\r\nx\r\n.\r\n`)).toMatch(/^552 5\.3\.4 .*2000/);
    expect(await data(talk, `Subject: s\r\n\r\n${'line\r\n'.repeat(10_000)}.\r\n`)).toMatch(/^552/);
    expect(await data(talk, `${'Received: by x\r\n'.repeat(5)}\r\nx\r\n.\r\n`)).toMatch(/^554 5\.4\.6/);
    await talk.say('MAIL FROM:<a@b>');
    for (let i = 0; i < 3; i++) expect(await talk.say(`RCPT TO:<r${i}@relay.test>`)).toMatch(/^250/);
    expect(await talk.say('RCPT TO:<r4@relay.test>')).toMatch(/^452 4\.5\.3/);
    talk.end();
    expect(leftovers(r)).toEqual([]);
  });
});

describe('a sender that goes slow, or away', () => {
  it('is ended when it only keeps the session open, octet by octet', async () => {
    const r = await relay({ slowSeconds: 0.4 });
    const talk = await Talk.open(r.port);
    const drip = setInterval(() => talk.write('E'), 50);
    await talk.until(/421 /);
    clearInterval(drip);
    await r.until(() => talk.closed);
    expect(r.log.some((line) => line.includes('slow-session'))).toBe(true);
  });

  it('leaves nothing of a message whose connection is lost before the dot', async () => {
    const r = await relay();
    const talk = await session(r.port);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    await talk.say('DATA');
    talk.write('Subject: half\r\n\r\nhalf a mess');
    await r.until(() => existsSync(join(r.folder, 'queue', 'incoming')) && leftovers(r).length > 0);
    talk.end();
    await r.until(() => leftovers(r).length === 0);
    expect(r.mailbox('box')).toEqual([]);
  });
});

describe('CHECKPOINT (RFC 1845) on the wire', () => {
  it('goes on at the octet where the connection was lost, and answers a repeated transaction with its 250', async () => {
    const r = await relay({ policy: { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] } });
    const lines = Array.from({ length: 200 }, (_, i) => `line ${i} ${'x'.repeat(50)}\r\n`);
    const message = `Subject: long\r\n\r\n${lines.join('')}`;
    const first = await session(r.port);
    const mail = `MAIL FROM:<a@b> SIZE=${message.length} TRANSID=<1.2@client.test>`;
    expect(await first.say(mail)).toMatch(/^250/);
    await first.say('RCPT TO:<box@relay.test>');
    await first.say('DATA');
    first.write(message.slice(0, 5003));
    await r.until(() => leftovers(r).length > 0);
    first.end();
    await r.until(() => r.mail.relay.receiver.partialCount === 1);

    const second = await session(r.port);
    const reply = await second.say(mail);
    const offset = Number(/^355 (\d+) /.exec(reply)?.[1]);
    expect(offset).toBeGreaterThan(4000);
    expect(offset).toBeLessThanOrEqual(5003);
    expect(message.slice(offset - 2, offset)).toBe('\r\n');
    // As RFC 1845 has it: DATA follows at once, the recipients are known.
    expect(await second.say('DATA')).toMatch(/^354/);
    second.write(`${message.slice(offset)}.\r\n`);
    expect(await second.reply()).toMatch(/^250/);
    second.end();
    await r.until(() => r.mailbox('box').length === 1);
    expect(r.mailbox('box')[0]!.replaceAll('\n', '\r\n').endsWith(message)).toBe(true);

    const third = await session(r.port);
    expect(await third.say(mail)).toBe(`355 ${message.length} is the transaction offset\r\n`);
    expect(await third.say('DATA')).toMatch(/^354/);
    expect(await third.say('.')).toMatch(/^250/);
    third.end();
    expect(r.mailbox('box')).toHaveLength(1);
  });

  it('keeps few halves of strangers, apart from those of relays, and knows the strangers by their address too', async () => {
    const r = await relay({
      policy: { domains: ['relay.test'], relayFor: ['127.0.0.1/32'], routes: [] },
      limits: { strangerTransactions: 2, strangerOctets: 10_000 },
      listen: [{ host: '0.0.0.0', port: 0 }],
    });
    const half = async (id: number, from: string, octets = 1000) => {
      const talk = await Talk.open(r.port, from);
      await talk.say('EHLO client.test');
      const reply = await talk.say(`MAIL FROM:<a@b> TRANSID=<${id}@client.test>`);
      await talk.say('RCPT TO:<box@relay.test>');
      await talk.say('DATA');
      talk.write(`Subject: half\r\n\r\n${`${'x'.repeat(98)}\r\n`.repeat(octets / 100)}`);
      const before = r.log.length;
      talk.finish();
      await r.until(() => r.log.slice(before).some((line) => line.startsWith('event=interrupted')));
      return reply;
    };
    await half(1, '127.0.0.1');
    for (const id of [1, 2, 3, 4]) expect(await half(id, '127.0.0.9')).toMatch(/^250/);
    await r.until(() => r.mail.relay.receiver.partialCount === 3);
    expect(await half(4, '127.0.0.9')).toMatch(/^355/);
    expect(await half(4, '127.0.0.8')).toMatch(/^250/);
    // Too large for their room: nothing of it is kept, and nothing of the relay's goes.
    await half(5, '127.0.0.9', 20_000);
    await r.until(() => r.mail.relay.receiver.partialCount === 1);
    expect(await half(1, '127.0.0.1')).toMatch(/^355/);
  });

  it('makes a repeated delivery harmless also of a relay that may not relay through us', async () => {
    const r = await relay();
    const message = 'Subject: once\r\n\r\nx\r\n';
    for (const expected of [/^250/, new RegExp(`^355 ${message.length} `)]) {
      const talk = await session(r.port);
      expect(await talk.say(`MAIL FROM:<a@b> SIZE=${message.length} TRANSID=<1@client.test>`)).toMatch(expected);
      await talk.say('RCPT TO:<box@relay.test>');
      await talk.say('DATA');
      expect(await talk.say(`${message}.`)).toMatch(/^250/);
      talk.end();
    }
    await r.until(() => r.mail.relay.queue.size === 0);
    expect(r.mailbox('box')).toHaveLength(1);
  });

  it('takes a transaction over from a connection that only looks alive', async () => {
    const r = await relay({ policy: { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] } });
    const ghost = await session(r.port);
    const mail = 'MAIL FROM:<a@b> TRANSID=<7@client.test>';
    await ghost.say(mail);
    await ghost.say('RCPT TO:<box@relay.test>');
    await ghost.say('DATA');
    ghost.write('Subject: ghost\r\n\r\nfirst line\r\nsec');
    await r.until(() => leftovers(r).length > 0);
    const next = await session(r.port);
    const offset = Number(/^355 (\d+) /.exec(await next.say(mail))?.[1]);
    await next.say('DATA');
    next.write(`${'Subject: ghost\r\n\r\nfirst line\r\nsecond\r\n'.slice(offset)}.\r\n`);
    expect(await next.reply()).toMatch(/^250/);
    ghost.write('ond\r\n.\r\n');
    expect(await ghost.reply()).toMatch(/^4/);
    await r.until(() => r.mailbox('box').length === 1);
    expect(r.mailbox('box')[0]).toMatch(/first line\nsecond\n$/);
    ghost.end();
    next.end();
  });
});
