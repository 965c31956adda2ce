/** BDAT (RFC 3030) as a client meets it, over real sockets on loopback; and the parser below it, cut at every octet. */
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, type Envelope, Policy, Receiver } from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';
import { ChunkStream, parseBdat } from '../../../src/io/smtp-chunks.ts';
import { SmtpListener } from '../../../src/io/smtp-listener.ts';
import { type LocalRelay, localRelay, testCertificate } from '../../support/mail/local-relay.ts';
import { MemoryDisk, MemoryStore } from '../../support/mail/memory-store.ts';
import { Talk } from '../../support/mail/talk.ts';

const open: { close(): Promise<void> }[] = [];
const trusting = { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] };
async function relay(options: Parameters<typeof localRelay>[0] = {}): Promise<LocalRelay> {
  const made = await localRelay({ policy: trusting, ...options });
  // A delivery that is still at it would write into the folder that is being removed.
  const idle = () => made.until(() => made.mail.relay.queue.size === 0);
  open.push({ close: () => idle().then(() => made.close()) });
  return made;
}
afterEach(async () => {
  for (const made of open.splice(0)) await made.close();
});

async function session(r: LocalRelay): Promise<Talk> {
  const talk = await Talk.open(r.port);
  await talk.say('EHLO client.test');
  return talk;
}
/** A session in which MAIL and RCPT are accepted. */
async function envelope(r: LocalRelay, parameters = ''): Promise<Talk> {
  const talk = await session(r);
  expect(await talk.say(`MAIL FROM:<a@client.test>${parameters}`)).toMatch(/^(250|355)/);
  expect(await talk.say('RCPT TO:<box@relay.test>')).toMatch(/^250/);
  return talk;
}
function bdat(talk: Talk, octets: string, last = false): Promise<string> {
  talk.write(`BDAT ${octets.length}${last ? ' LAST' : ''}\r\n${octets}`);
  return talk.reply();
}
/** A listener before a receiver that stores in memory; `pause` is how long each step of the store takes. */
async function bare(pause?: () => Promise<void>) {
  const disk = new MemoryDisk();
  const store = new MemoryStore(disk, pause === undefined ? {} : { pause });
  const accepted: Envelope[] = [];
  let ids = 0;
  const receiver = new Receiver({
    store,
    policy: new Policy(trusting),
    limits: DEFAULT_LIMITS,
    name: 'relay.test',
    joinPartials: false,
    now: () => 0n as WallTime,
    newId: () => `m${++ids}`,
    accepted: (message) => accepted.push(message),
    largestFor: () => undefined,
    log: () => {},
  });
  const listener = await SmtpListener.start({
    host: '127.0.0.1',
    port: 0,
    name: 'relay.test',
    receiver,
    messageOctets: 1e6,
    maxRecipients: 10,
    log: () => {},
  });
  open.push(listener);
  return { listener, receiver, disk, store, accepted };
}
const leftovers = (r: LocalRelay) =>
  ['incoming', 'messages', 'envelopes'].flatMap((name) => readdirSync(join(r.folder, 'queue', name)));
/** The messages in the box, without the fields that the relay puts in front. */
const bodies = (r: LocalRelay) =>
  r.mailbox('box').map((text) => text.slice(text.indexOf('Subject:')).replaceAll('\n', '\r\n'));
async function stored(r: LocalRelay, ...messages: string[]): Promise<void> {
  await r.until(() => r.mail.relay.queue.size === 0 && r.mailbox('box').length >= messages.length);
  expect(bodies(r).sort()).toEqual([...messages].sort());
}
const letter = 'Subject: chunks\r\n\r\none\r\ntwo\r\n';

describe('a message in chunks', () => {
  it('is offered, and comes in one or in several; any case of letters will do', async () => {
    const r = await relay();
    const talk = await Talk.open(r.port);
    expect(await talk.say('EHLO client.test')).toMatch(/^250[- ]CHUNKING\r$/m);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, letter, true)).toMatch(/^250 2\.6\.0 queued as \S+\r\n$/);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, letter.slice(0, 12))).toBe('250 2.0.0 12 octets received\r\n');
    expect(await talk.say('NOOP')).toMatch(/^250/);
    talk.write(`bDaT ${letter.length - 12}\r\n${letter.slice(12)}`);
    expect(await talk.reply()).toMatch(/^250 2\.0\.0/);
    expect(await talk.say('bdat 0 last')).toMatch(/^250 2\.6\.0 queued/);
    await stored(r, letter, letter);
    talk.end();
  });

  it('is kept to the letter: dots, a dot alone on its line, and commands are text', async () => {
    const r = await relay();
    const talk = await envelope(r);
    const smuggled = 'MAIL FROM:<evil@x>\r\nRCPT TO:<box@relay.test>\r\nBDAT 5 LAST\r\nSubje\r\nDATA\r\nx\r\n.\r\n';
    const message = `Subject: dots\r\n\r\n..two\r\n.\r\n.\r\n${smuggled}QUIT\r\n`;
    expect(await bdat(talk, message, true)).toMatch(/^250/);
    expect(await talk.say('NOOP')).toMatch(/^250/);
    await stored(r, message);
    talk.end();
  });

  it('gets the CRLF that its last line lacks', async () => {
    const r = await relay();
    const talk = await envelope(r);
    expect(await bdat(talk, 'Subject: x\r\n\r\nno end', true)).toMatch(/^250/);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    await bdat(talk, 'Subject: cut in CRLF\r\n\r\nx\r');
    expect(await bdat(talk, '\n', true)).toMatch(/^250/);
    await stored(r, 'Subject: x\r\n\r\nno end\r\n', 'Subject: cut in CRLF\r\n\r\nx\r\n');
    talk.end();
  });

  it('is refused with a bare CR or LF (no BINARYMIME here, and its BODY neither)', async () => {
    const r = await relay();
    const talk = await session(r);
    expect(await talk.say('MAIL FROM:<a@b> BODY=BINARYMIME')).toMatch(/^501/);
    for (const body of ['a\nb\r\n', 'a\rb\r\n', 'a\r']) {
      await talk.say('MAIL FROM:<a@b>');
      await talk.say('RCPT TO:<box@relay.test>');
      expect(await bdat(talk, `Subject: x\r\n\r\n${body}`, true), JSON.stringify(body)).toMatch(/^550 5\.6\.0/);
    }
    talk.end();
    expect(leftovers(r)).toEqual([]);
  });

  it('may be one of two in one packet, and DATA may follow in the session', async () => {
    const r = await relay();
    const talk = await session(r);
    const group = (subject: string) =>
      `MAIL FROM:<a@b>\r\nRCPT TO:<box@relay.test>\r\nBDAT ${subject.length + 15} LAST\r\nSubject: ${subject}\r\n\r\n\r\n`;
    talk.write(`${group('first')}${group('second')}MAIL FROM:<a@b>\r\nRCPT TO:<box@relay.test>\r\nDATA\r\n`);
    const replies = await talk.until(/354 .*\r\n/);
    expect(replies.match(/^\d{3} \d\.\d\.\d/gm)).toEqual(
      ['2.1.0', '2.1.5', '2.6.0', '2.1.0', '2.1.5', '2.6.0', '2.1.0', '2.1.5'].map((code) => `250 ${code}`),
    );
    expect(await talk.say('Subject: third\r\n\r\n.')).toMatch(/^250/);
    await stored(r, 'Subject: first\r\n\r\n\r\n', 'Subject: second\r\n\r\n\r\n', 'Subject: third\r\n\r\n');
    talk.end();
  });

  it('of some size goes to the disk as it comes', async () => {
    const r = await relay();
    const talk = await envelope(r);
    const message = `Subject: large\r\n\r\n${`${'x'.repeat(998)}\r\n`.repeat(3000)}`;
    expect(await bdat(talk, message.slice(0, 1_500_001))).toMatch(/^250/);
    expect(await bdat(talk, message.slice(1_500_001), true)).toMatch(/^250/);
    await stored(r, message);
    talk.end();
  });
});

describe('what is refused', () => {
  it.each([
    'BDAT',
    'BDAT ',
    'BDAT x',
    'BDAT -1',
    'BDAT 0x10',
    'BDAT 1e3',
    'BDAT 5 LASTS',
    'BDAT 5 LAST LAST',
    'BDAT LAST',
    'BDAT\t5',
    'BDAT 1000000000000000',
  ])('%j ends the session: what follows may be a message', async (line) => {
    const r = await relay();
    const talk = await envelope(r);
    talk.write(`${line}\r\nRSET\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<box@relay.test>\r\n`);
    expect(await talk.until(/(?!)/)).toMatch(/^501 5\.5\.4 [^\r]*\r\n$/);
    expect(parseBdat(line)).toBeUndefined();
  });

  it('without MAIL, or EHLO, its octets are read all the same', async () => {
    const r = await relay();
    const talk = await Talk.open(r.port);
    expect(await bdat(talk, 'QUIT\r\n')).toMatch(/^503 5\.5\.1 need MAIL/);
    await talk.say('EHLO client.test');
    for (let i = 0; i < 12; i++) expect(await bdat(talk, 'QUIT\r\n', i % 2 === 0)).toMatch(/^503 5\.5\.1 need MAIL/);
    expect(await talk.say('BDAT 0 LAST')).toMatch(/^503/);
    // A failed BDAT outside a transaction spoils none.
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, letter, true)).toMatch(/^250/);
    expect(await bdat(talk, letter, true)).toMatch(/^503/);
    await stored(r, letter);
    talk.end();
  });

  it('without an accepted RCPT; and no RCPT makes good what a chunk before it lost', async () => {
    const r = await relay();
    const talk = await session(r);
    talk.write(`MAIL FROM:<a@b>\r\nRCPT TO:<b@far.test>\r\nBDAT ${letter.length} LAST\r\n${letter}`);
    expect(await talk.until(/503 .*\r\n/)).toMatch(/^250 .*\r\n550 .*\r\n503 5\.5\.1 no valid recipients\r\n$/);
    // LAST ended the transaction, as the dot of DATA does: a group that was sent behind it finds none.
    await talk.say('MAIL FROM:<a@b>');
    expect(await bdat(talk, 'Subject: lost\r\n')).toMatch(/^503 5\.5\.1 no valid/);
    expect(await talk.say('RCPT TO:<box@relay.test>')).toMatch(/^503/);
    expect(await bdat(talk, letter)).toMatch(/^503/);
    expect(await bdat(talk, letter, true)).toMatch(/^503/);
    expect(await talk.say('MAIL FROM:<a@b>')).toMatch(/^250/);
    expect(await talk.say('RCPT TO:<box@relay.test>')).toMatch(/^250/);
    expect(await bdat(talk, letter, true)).toMatch(/^250/);
    await stored(r, letter);
    talk.end();
  });

  it('too many octets, in one chunk or in several', async () => {
    const r = await relay({ limits: { messageOctets: 10_000 } });
    const talk = await envelope(r);
    const line = `${'x'.repeat(98)}\r\n`;
    expect(await bdat(talk, line.repeat(101), true)).toMatch(/^552 5\.3\.4 .*10000/);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, line.repeat(60))).toMatch(/^250/);
    expect(await bdat(talk, line.repeat(60))).toMatch(/^552 5\.3\.4/);
    expect(await bdat(talk, line)).toMatch(/^503 5\.5\.1 .*RSET/);
    expect(await talk.say('MAIL FROM:<a@b>')).toMatch(/^503/);
    expect(await talk.say('RSET')).toMatch(/^250/);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    // What is announced and never comes takes no memory.
    talk.write(`BDAT 999999999999999 LAST\r\n${line}`);
    talk.end();
    expect(leftovers(r)).toEqual([]);
  });

  it('the CRLF that would make it too large counts', async () => {
    const r = await relay({ limits: { messageOctets: 100 } });
    const talk = await envelope(r);
    expect(await bdat(talk, `Subject: x\r\n\r\n${'x'.repeat(86)}`, true)).toMatch(/^552 5\.3\.4/);
    talk.end();
    expect(leftovers(r)).toEqual([]);
  });

  it('DATA, MAIL and RCPT between chunks; EHLO and RSET begin anew', async () => {
    const r = await relay();
    const talk = await envelope(r);
    for (const reset of ['RSET', 'EHLO client.test', 'HELO client.test']) {
      expect(await bdat(talk, 'Subject: never\r\n')).toMatch(/^250/);
      for (const line of ['DATA', 'MAIL FROM:<c@d>', 'RCPT TO:<c@relay.test>'])
        expect(await talk.say(line), line).toMatch(/^503 5\.5\.1/);
      expect(await talk.say(reset)).toMatch(/^250/);
      expect(await talk.say('DATA')).toMatch(/^503/);
      expect(await bdat(talk, letter, true)).toMatch(/^503/);
      await talk.say('MAIL FROM:<a@b>');
      await talk.say('RCPT TO:<box@relay.test>');
    }
    await r.until(() => leftovers(r).length === 0);
    // A chunk behind DATA's 503 is the message's still.
    await bdat(talk, letter.slice(0, 20));
    await talk.say('DATA');
    expect(await bdat(talk, letter.slice(20), true)).toMatch(/^250/);
    await stored(r, letter);
    talk.end();
  });

  it('a chunk of a session that is ended for being slow', async () => {
    const r = await relay({ slowSeconds: 0.4 });
    const talk = await envelope(r);
    talk.write('BDAT 100000 LAST\r\nSubject: slow\r\n\r\n');
    const drip = setInterval(() => talk.write('x'), 50);
    await talk.until(/421 /);
    clearInterval(drip);
    await r.until(() => talk.closed && leftovers(r).length === 0);
  });

  const tls = testCertificate();
  it.skipIf(tls === undefined)('what was sent in the clear behind STARTTLS, chunks too', async () => {
    const r = await relay({ tls: tls! });
    const talk = await envelope(r);
    expect(await bdat(talk, 'Subject: in the clear\r\n')).toMatch(/^250/);
    talk.write(`STARTTLS\r\nBDAT ${letter.length} LAST\r\n${letter}`);
    expect(await talk.reply()).toMatch(/^220/);
    await talk.startTls();
    expect(await talk.say('EHLO client.test')).toMatch(/CHUNKING/);
    expect(await bdat(talk, letter, true)).toMatch(/^503/);
    await talk.say('MAIL FROM:<a@b>');
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, letter, true)).toMatch(/^250/);
    await stored(r, letter);
    talk.end();
  });

  it('a relay that stops says so, and takes no further chunk', async () => {
    const r = await relay();
    const [idle, mid] = [await envelope(r), await envelope(r)];
    mid.write('BDAT 1000 LAST\r\nSubject: half');
    await r.until(() => leftovers(r).length > 0);
    const closing = r.mail.close();
    expect(await bdat(idle, letter, true)).toMatch(/^421/);
    expect(await mid.reply()).toMatch(/^421/);
    await closing;
    await r.until(() => leftovers(r).length === 0);
    expect(r.mailbox('box')).toEqual([]);
  });
});

describe('CHECKPOINT (RFC 1845) with chunks', () => {
  const lines = Array.from({ length: 100 }, (_, i) => `line ${i} ${'x'.repeat(50)}\r\n`);
  const message = `Subject: long\r\n\r\n${lines.join('')}`;
  const transid = ` SIZE=${message.length} TRANSID=<1.2@client.test>`;
  const partial = (r: LocalRelay) => r.until(() => r.mail.relay.receiver.partialCount === 1);
  /** Leaves 3000 octets and some of a line. */
  async function interrupted(r: LocalRelay): Promise<void> {
    const talk = await envelope(r, transid);
    talk.write(`BDAT ${message.length} LAST\r\n${message.slice(0, 3003)}`);
    await r.until(() => leftovers(r).length > 0);
    talk.end();
    await partial(r);
  }
  async function resume(r: LocalRelay, talk?: Talk): Promise<[Talk, number]> {
    const again = talk ?? (await session(r));
    const offset = Number(/^355 (\d+) /.exec(await again.say(`MAIL FROM:<a@b>${transid}`))?.[1]);
    expect(offset).toBeGreaterThan(2000);
    expect(message.slice(offset - 2, offset)).toBe('\r\n');
    return [again, offset];
  }

  it('goes on from the offset told, in one chunk', async () => {
    const r = await relay();
    await interrupted(r);
    const [talk, offset] = await resume(r);
    expect(await bdat(talk, message.slice(offset), true)).toMatch(/^250 2\.6\.0/);
    await stored(r, message);
    talk.end();
  });

  it('or in several, and RSET between them keeps what came', async () => {
    const r = await relay();
    const talk = await envelope(r, transid);
    expect(await bdat(talk, message.slice(0, 2501))).toMatch(/^250/);
    expect(await talk.say('RSET')).toMatch(/^250/);
    // With nothing of the transaction named anew: RSET itself keeps it.
    await partial(r);
    const [, offset] = await resume(r, talk);
    expect(await bdat(talk, message.slice(offset, 4000))).toMatch(/^250/);
    talk.write('RSET\r\n');
    expect(await talk.reply()).toMatch(/^250/);
    const [other, further] = await resume(r);
    expect(further).toBeGreaterThan(3900);
    expect(await bdat(other, message.slice(further, 5000))).toMatch(/^250/);
    expect(await bdat(other, message.slice(5000))).toMatch(/^250/);
    expect(await other.say('BDAT 0 LAST')).toMatch(/^250 2\.6\.0/);
    await stored(r, message);
    talk.end();
    other.end();
  });

  it('begins anew when the whole message comes in one chunk: its sender did not wait for the offset', async () => {
    const r = await relay();
    await interrupted(r);
    const talk = await session(r);
    talk.write(
      `MAIL FROM:<a@b>${transid}\r\nRCPT TO:<box@relay.test>\r\nBDAT ${message.length} LAST\r\n${message}RSET\r\n`,
    );
    expect(await talk.until(/Flushed\r\n/)).toMatch(/^355 .*\r\n250 .*\r\n250 2\.6\.0 queued.*\r\n250/);
    await stored(r, message);
    talk.end();
  });

  it('takes a message once', async () => {
    const r = await relay();
    for (const expected of [/^250 2\.6\.0 queued/, /^250 2\.6\.0 accepted before/, /^250 2\.6\.0 accepted before/]) {
      const talk = await envelope(r, transid);
      expect(await bdat(talk, message, true)).toMatch(expected);
      talk.end();
    }
    const talk = await session(r);
    expect(await talk.say(`MAIL FROM:<a@b>${transid}`)).toBe(`355 ${message.length} is the transaction offset\r\n`);
    expect(await talk.say('BDAT 0 LAST')).toMatch(/^250 2\.6\.0 accepted before/);
    talk.end();
    await stored(r, message);
  });

  it('tells no offset behind the end to the sender of a message without its last CRLF', async () => {
    const r = await relay();
    const cut = 'Subject: x\r\n\r\nno end';
    for (const code of [250, 355]) {
      const talk = await session(r);
      const reply = await talk.say(`MAIL FROM:<a@b> SIZE=${cut.length} TRANSID=<3@client.test>`);
      expect(reply).toMatch(code === 250 ? /^250/ : `355 ${cut.length} `);
      await talk.say('RCPT TO:<box@relay.test>');
      expect(await bdat(talk, cut, true)).toMatch(/^250/);
      talk.end();
    }
    await stored(r, `${cut}\r\n`);
  });

  it('refuses what is not as long as was announced, and takes it whole then', async () => {
    const r = await relay();
    const talk = await envelope(r, transid);
    expect(await bdat(talk, message.slice(0, -100), true)).toMatch(/^451 4\.3\.0 .*send it again/);
    expect(await talk.say(`MAIL FROM:<a@b>${transid}`)).toMatch(/^250/);
    await talk.say('RCPT TO:<box@relay.test>');
    expect(await bdat(talk, message, true)).toMatch(/^250/);
    await stored(r, message);
    talk.end();
  });

  it('takes a transaction over from a connection that stands in a chunk', async () => {
    const r = await relay();
    const ghost = await envelope(r, transid);
    ghost.write(`BDAT ${message.length} LAST\r\n${message.slice(0, 3003)}`);
    await r.until(() => leftovers(r).length > 0);
    const [talk, offset] = await resume(r);
    ghost.write(message.slice(3003));
    expect(await ghost.reply()).toMatch(/^421/);
    expect(await bdat(talk, message.slice(offset), true)).toMatch(/^250/);
    await stored(r, message);
    ghost.end();
    talk.end();
  });
});

describe('a transaction that ends as the next begins', () => {
  const client = { address: '127.0.0.1', name: 'client.test', secure: false };
  const parameters = { reversePath: 'a@b', size: letter.length, transaction: '<1@client.test>' };

  it('is waited for by who takes it over: it may become a message yet', async () => {
    const { receiver, accepted } = await bare(() => new Promise((resolve) => setTimeout(resolve, 5)));
    const { transaction } = await receiver.mail(client, parameters);
    transaction!.recipient('box@relay.test', {});
    await transaction!.chunk(letter.length, true);
    await transaction!.write(Buffer.from(letter));
    const ended = transaction!.end();
    const next = await receiver.mail(client, parameters);
    expect((await ended).code).toBe(250);
    expect(next.reply).toMatchObject({ code: 355, text: `${letter.length} is the transaction offset` });
    expect((await next.transaction!.end()).text).toMatch(/^accepted before/);
    expect(accepted).toHaveLength(1);
  });

  it('keeps its octets from a chunk of the connection that lost it', async () => {
    const { receiver, disk } = await bare();
    const first = await receiver.mail(client, parameters);
    first.transaction!.recipient('box@relay.test', {});
    await first.transaction!.write(Buffer.from(letter.slice(0, -5)));
    const [second, third] = await Promise.all([receiver.mail(client, parameters), receiver.mail(client, parameters)]);
    expect([second.reply.code, third.reply.code]).toEqual([355, 355]);
    await second.transaction!.chunk(letter.length, true);
    expect(disk.spools.size).toBe(1);
    expect((await second.transaction!.end()).code).toBe(421);
  });

  it('is not left open when the client leaves before the reply to MAIL', async () => {
    const { listener, receiver, store } = await bare();
    let free: (octets: number) => void = () => {};
    store.free = () =>
      new Promise((resolve) => {
        free = resolve;
      });
    const talk = await Talk.open(listener.address.port);
    await talk.say('EHLO client.test');
    talk.write('MAIL FROM:<a@b> TRANSID=<1@client.test>\r\n');
    await expect.poll(() => free.length).toBe(1);
    talk.end();
    await expect.poll(() => listener.sessions).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    free(1e9);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(receiver.receiving).toBe(false);
  });
});

describe('replies', () => {
  /** A session whose packets are kept apart. */
  async function packets(
    r: LocalRelay,
  ): Promise<{ socket: Socket; came: string[]; until(end: RegExp): Promise<void> }> {
    const socket = connect(r.port, '127.0.0.1').setNoDelay(true);
    const came: string[] = [];
    let wake: () => void = () => {};
    socket.on('data', (octets) => {
      came.push(octets.toString('latin1'));
      wake();
    });
    const until = async (end: RegExp) => {
      while (!end.test(came.join('')))
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    await until(/^220 .*\r\n$/);
    socket.write('EHLO client.test\r\n');
    await until(/^250 .*\r\n$/m);
    came.length = 0;
    return { socket, came, until };
  }
  const group = (parameters = '') =>
    `MAIL FROM:<a@b>${parameters}\r\nRCPT TO:<box@relay.test>\r\nRCPT TO:<b@far.test>\r\nBDAT ${letter.length} LAST\r\n`;
  const transid = ` SIZE=${letter.length} TRANSID=<1@client.test>`;

  it('to MAIL, RCPT and BDAT of one packet come in one packet, refusals too', async () => {
    const r = await relay();
    const { socket, came, until } = await packets(r);
    socket.write(`${group()}${letter}`);
    await until(/queued/);
    expect(came).toEqual([expect.stringMatching(/^250 .*\r\n250 .*\r\n550 .*\r\n250 2\.6\.0 .*\r\n$/)]);
    socket.destroy();
  });

  it('wait for a chunk that is still coming from a relay of our kind, who does not wait for them', async () => {
    const r = await relay();
    const { socket, came, until } = await packets(r);
    socket.write(`${group(transid)}${letter.slice(0, 18)}`);
    await r.until(() => leftovers(r).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(came).toEqual([]);
    socket.write(letter.slice(18));
    await until(/queued/);
    expect(came).toHaveLength(1);
    socket.destroy();
  });

  it('but not for long, and not for others: exim sends no octet before it has them (RFC 2920 section 3.2)', async () => {
    const r = await relay();
    const [others, ours] = [await packets(r), await packets(r)];
    const began = performance.now();
    ours.socket.write(group(transid));
    others.socket.write(group());
    await others.until(/^550 .*\r\n/m);
    expect(performance.now() - began).toBeLessThan(1000);
    await ours.until(/^550 .*\r\n/m);
    for (const { socket, came, until } of [others, ours]) {
      expect(came).toHaveLength(1);
      socket.write(letter);
      await until(/queued/);
      socket.destroy();
    }
  });

  it('to more commands than a client reads for do not stop the session', async () => {
    const r = await relay();
    const { socket, until } = await packets(r);
    const recipients = 'RCPT TO:<b@far.test>\r\n'.repeat(3000);
    socket.pause();
    socket.write(
      `MAIL FROM:<a@b>${transid}\r\nRCPT TO:<box@relay.test>\r\n${recipients}BDAT ${letter.length} LAST\r\n`,
    );
    socket.write(letter);
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.resume();
    await until(/queued/);
    socket.destroy();
  });
});

describe('wherever the input is cut', () => {
  const bodyA = 'Subject: a\r\n\r\n.\r\n';
  const bodyB = 'BDAT 5 LAST\r\n\r\n..\r\n';
  const talkText =
    `EHLO c\r\nBDAT 2\r\n\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@relay.test>\r\nBDAT ${bodyA.length}\r\n${bodyA}` +
    `BDAT ${bodyB.length}\r\n${bodyB}BDAT 0 LAST\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@relay.test>\r\nBDAT 1 last\r\n.BDAT 0\r\nQUIT\r\n`;

  it('the parser hands over the same commands and the same chunks', async () => {
    /** What the parser made of the pieces. The sink takes a while, and must not be asked for two things at once. */
    const parse = async (pieces: readonly Buffer[]): Promise<string[]> => {
      const events: string[] = [];
      const parser = new ChunkStream();
      parser.oncommand = (line, done) => {
        const command = line.toString('latin1');
        const size = parseBdat(command);
        let chunk = '';
        let busy = false;
        const slowly = async (work: () => void) => {
          expect(busy).toBe(false);
          busy = true;
          await Promise.resolve();
          work();
          busy = false;
        };
        events.push(command);
        if (size !== undefined)
          parser.startChunk(size.octets, {
            write: (octets) => slowly(() => (chunk += Buffer.from(octets).toString('latin1'))),
            end: () => slowly(() => events.push(`chunk ${JSON.stringify(chunk)}`)),
          });
        done?.();
      };
      for (const piece of pieces) parser.write(piece);
      await new Promise<void>((resolve) => parser.end(() => resolve()));
      return events;
    };
    const input = Buffer.from(talkText, 'latin1');
    const whole = await parse([input]);
    expect(whole.filter((event) => event.startsWith('chunk'))).toEqual(
      ['\r\n', bodyA, bodyB, '', '.', ''].map((octets) => `chunk ${JSON.stringify(octets)}`),
    );
    expect(whole.at(-1)).toBe('QUIT');
    for (let at = 1; at < input.length; at++)
      expect(await parse([input.subarray(0, at), input.subarray(at)]), `cut at ${at}`).toEqual(whole);
    expect(await parse([...input].map((octet) => Buffer.of(octet)))).toEqual(whole);
    // Longer than one of the pieces in which commands are read.
    const many = Buffer.from('BDAT 1\r\nxNOOP\r\n'.repeat(2000), 'latin1');
    expect(await parse([many])).toEqual(Array.from({ length: 2000 }, () => ['BDAT 1', 'chunk "x"', 'NOOP']).flat());
  });

  it('the listener gives the same replies and stores the same messages', async () => {
    const { listener, disk, accepted } = await bare();
    const converse = async (pieces: readonly string[]): Promise<string> => {
      const talk = await Talk.open(listener.address.port);
      for (const [i, piece] of pieces.entries()) {
        if (i > 0) await new Promise((resolve) => setTimeout(resolve, 1));
        talk.write(piece);
      }
      return (await talk.until(/(?!)/)).replaceAll(/queued as m\d+/g, 'queued');
    };
    const whole = await converse([talkText]);
    expect(whole.match(/^\d{3} \d\.\d\.\d/gm)).toEqual(
      ['503 5.5.1', '250 2.1.0', '250 2.1.5', '250 2.0.0', '250 2.0.0', '250 2.6.0'].concat([
        '250 2.1.0',
        '250 2.1.5',
        '250 2.6.0',
        '503 5.5.1',
        '221 2.0.0',
      ]),
    );
    const cuts = Array.from({ length: talkText.length - 1 }, (_, i) => i + 1);
    const workers = Array.from({ length: 12 }, async () => {
      for (let at = cuts.pop(); at !== undefined; at = cuts.pop())
        expect(await converse([talkText.slice(0, at), talkText.slice(at)]), `cut at ${at}`).toBe(whole);
    });
    await Promise.all(workers);
    expect(await converse([...talkText])).toBe(whole);
    expect(accepted).toHaveLength(2 * (talkText.length + 1));
    const messages = new Set([...disk.messages.values()].map((octets) => Buffer.from(octets).toString('latin1')));
    expect(messages).toEqual(new Set([bodyA + bodyB, '.\r\n']));
    expect(disk.spools.size).toBe(0);
  });
});
