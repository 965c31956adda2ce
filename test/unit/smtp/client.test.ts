import { describe, expect, it } from 'vitest';
import { type ClientEvent, DotStuffer, type Envelope, SmtpClient } from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';

const octets = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const text = (o: Uint8Array) => String.fromCharCode(...o);

describe('DotStuffer (RFC 5321 section 4.5.2)', () => {
  it('doubles the dot at the beginning of each line, whatever the chunks', () => {
    const whole = '.a\r\nb.\r\n.\r\n..\r\n';
    expect(text(new DotStuffer().stuff(octets(whole)))).toBe('..a\r\nb.\r\n..\r\n...\r\n');
    for (let cut = 0; cut <= whole.length; cut++) {
      const stuffer = new DotStuffer();
      const out = text(stuffer.stuff(octets(whole.slice(0, cut)))) + text(stuffer.stuff(octets(whole.slice(cut))));
      expect(out).toBe('..a\r\nb.\r\n..\r\n...\r\n');
    }
  });

  it('leaves nothing that any server could take for the end of the message', () => {
    for (const smuggled of ['a\n.\r\nMAIL', 'a\r.\r\nMAIL', 'a\n.\nMAIL', 'a\r\n.\rMAIL', 'a\r.\rMAIL', '.\nMAIL'])
      expect(text(new DotStuffer().stuff(octets(smuggled)))).not.toMatch(/(^|[\r\n])\.[\r\n]/);
  });
});

const envelope = (change: Partial<Envelope> = {}): Envelope => ({
  id: 'a1',
  reversePath: 'a@x',
  recipients: [{ address: 'b@y', state: 'queued', hop: 'y' }],
  octets: 10,
  trace: '',
  priority: 0,
  eightBit: false,
  smtputf8: false,
  arrived: 0n as WallTime,
  from: 'test',
  held: false,
  hops: {},
  ...change,
});
const message = (change: Partial<Envelope> = {}) => {
  const e = envelope(change);
  return { envelope: e, recipients: e.recipients, octets: e.octets, transaction: '<a1.0@x>' };
};

/** Everything the client wants to send, and its events. */
function drain(client: SmtpClient, body = '') {
  let sent = '';
  const events: ClientEvent[] = [];
  for (let t = client.pollTransmit(); t !== undefined; t = client.pollTransmit()) {
    if (t.kind === 'octets') sent += text(t.octets);
    else if (t.kind === 'body')
      client.handleInput({ kind: 'body', octets: octets(body.slice(t.offset, t.offset + t.length)) });
    else sent += `[${t.kind}]`;
  }
  for (let e = client.pollEvent(); e !== undefined; e = client.pollEvent()) events.push(e);
  return { sent, events };
}
const say = (client: SmtpClient, line: string, body?: string) => {
  client.handleInput({ kind: 'octets', octets: octets(line) });
  return drain(client, body);
};
function ready(extensions: readonly string[], tls: 'never' | 'opportunistic' | 'required' = 'never') {
  const client = new SmtpClient({ name: 'me', tls });
  client.handleInput({ kind: 'connected' });
  say(client, '220 hi\r\n');
  const lines = ['250-you', ...extensions.map((e) => `250-${e}`), '250 HELP'];
  return { client, after: say(client, `${lines.join('\r\n')}\r\n`) };
}

describe('SmtpClient', () => {
  it('sends a group in one go with PIPELINING, and the next group behind the dot (RFC 2920)', () => {
    const { client } = ready(['PIPELINING', 'SIZE 1000', 'MT-PRIORITY']);
    client.handleInput({ kind: 'message', message: message({ priority: 4 }) });
    expect(drain(client).sent).toBe('MAIL FROM:<a@x> SIZE=10 MT-PRIORITY=4\r\nRCPT TO:<b@y>\r\nDATA\r\n');
    expect(say(client, '250 ok\r\n250 ok\r\n354 go\r\n', '.2345678\r\n').sent).toBe('..2345678\r\n.\r\n');
    expect(client.wantsMessage).toBe(true);
    client.handleInput({ kind: 'message', message: message() });
    expect(drain(client).sent).toMatch(/^MAIL.*\r\nRCPT.*\r\nDATA\r\n$/);
    expect(client.wantsMessage).toBe(false);
    const { events } = say(client, '250 2.0.0 queued\r\n');
    expect(events).toMatchObject([{ kind: 'result', replies: [{ reply: { code: 250, status: '2.0.0' } }] }]);
  });

  it('waits for each reply without PIPELINING', () => {
    const { client } = ready([]);
    client.handleInput({ kind: 'message', message: message() });
    expect(drain(client).sent).toBe('MAIL FROM:<a@x>\r\n');
    expect(say(client, '250 ok\r\n').sent).toBe('RCPT TO:<b@y>\r\n');
    expect(say(client, '250 ok\r\n').sent).toBe('DATA\r\n');
  });

  it('goes on at the offset of a 355 (RFC 1845 section 3)', () => {
    const { client } = ready(['PIPELINING', 'CHECKPOINT']);
    client.handleInput({ kind: 'message', message: message() });
    expect(drain(client).sent).toContain('MAIL FROM:<a@x> TRANSID=<a1.0@x>\r\n');
    const { sent } = say(client, '355 4 is the transaction offset\r\n503 has it\r\n354 go\r\n', 'ab\r\ncdef\r\n');
    expect(sent).toBe('cdef\r\n.\r\n');
    expect(say(client, '250 ok\r\n').events).toMatchObject([{ kind: 'result', replies: [{ reply: { code: 250 } }] }]);
  });

  describe('with CHUNKING (RFC 3030)', () => {
    const small = (change: Partial<Envelope> = {}) => ({ ...message(change), fresh: true });
    const chunking = ['PIPELINING', 'CHUNKING', 'CHECKPOINT', 'SIZE 100000'];

    it('sends message after message without waiting for a reply, their octets as they are', () => {
      const { client } = ready(chunking);
      for (const id of ['a1', 'a2']) {
        expect(client.wantsMessage).toBe(true);
        client.handleInput({ kind: 'message', message: small({ id }) });
        expect(drain(client, '.2345678\r\n').sent).toBe(
          'MAIL FROM:<a@x> SIZE=10 TRANSID=<a1.0@x>\r\nRCPT TO:<b@y>\r\nBDAT 10 LAST\r\n.2345678\r\n',
        );
      }
      const first = say(client, '250 ok\r\n250 ok\r\n250 2.6.0 queued\r\n250 ok\r\n').events;
      expect(first).toMatchObject([
        { kind: 'result', message: { envelope: { id: 'a1' } }, replies: [{ reply: { code: 250, status: '2.6.0' } }] },
      ]);
      const second = say(client, '550 5.1.1 who\r\n503 5.5.1 no valid recipients\r\n').events;
      expect(second).toMatchObject([
        { kind: 'result', message: { envelope: { id: 'a2' } }, replies: [{ reply: { code: 550 } }] },
      ]);
      expect(client.busy).toBe(false);
    });

    it('has so many messages unanswered and no more', () => {
      const { client } = ready(chunking);
      let sent = 0;
      for (; client.wantsMessage; sent++) {
        client.handleInput({ kind: 'message', message: small() });
        drain(client, '0123456789');
      }
      expect(sent).toBe(16);
      say(client, '250 ok\r\n250 ok\r\n250 ok\r\n');
      expect(client.wantsMessage).toBe(true);
    });

    it('has sent the whole when 355 comes, and takes the final reply for it', () => {
      const { client } = ready(chunking);
      client.handleInput({ kind: 'message', message: small() });
      drain(client, '0123456789');
      const { sent, events } = say(client, '355 4 is the transaction offset\r\n503 has it\r\n250 2.6.0 queued\r\n');
      expect(sent).toBe('');
      expect(events).toMatchObject([{ kind: 'result', replies: [{ reply: { code: 250 } }] }]);
    });

    it('asks first when the peer may have some of it, when it is large, and without PIPELINING', () => {
      for (const [extensions, asked] of [
        [chunking, message()],
        [chunking, small({ octets: 24_577 })],
      ] as const) {
        const { client } = ready(extensions);
        client.handleInput({ kind: 'message', message: asked });
        expect(drain(client).sent).toMatch(/\r\nDATA\r\n$/);
        expect(client.wantsMessage).toBe(false);
      }
      const { client } = ready(['CHUNKING']);
      client.handleInput({ kind: 'message', message: small() });
      expect(drain(client).sent).toBe('MAIL FROM:<a@x>\r\n');
    });

    it('gives a connection up that replies to a chunk before its end', () => {
      const { client } = ready(chunking);
      client.handleInput({ kind: 'message', message: small() });
      while (client.pollTransmit()?.kind === 'octets');
      client.handleInput({ kind: 'octets', octets: octets('250 ok\r\n250 ok\r\n250 queued\r\n') });
      expect(drain(client, '0123456789').sent).toContain('[abort]');
    });
  });

  it('gives a connection up whose offset lies beyond the message', () => {
    const { client } = ready(['PIPELINING', 'CHECKPOINT']);
    client.handleInput({ kind: 'message', message: message() });
    drain(client);
    expect(say(client, '355 11 is the transaction offset\r\n').sent).toContain('[abort]');
  });

  it('ends an empty transaction with the dot alone when 354 comes though no recipient was taken (RFC 2920 section 3.1)', () => {
    const { client } = ready(['PIPELINING']);
    client.handleInput({ kind: 'message', message: message() });
    drain(client);
    expect(say(client, '250 ok\r\n550 5.1.1 who\r\n354 go\r\n', 'never sent').sent).toBe('.\r\n');
    const { events } = say(client, '554 no\r\n');
    expect(events).toMatchObject([{ kind: 'result', replies: [{ reply: { code: 550 } }] }]);
  });

  it('refuses by itself what the peer cannot take', () => {
    const { client } = ready(['SIZE 5']);
    for (const [change, status] of [
      [{}, '5.3.4'],
      [{ octets: 3, smtputf8: true }, '5.6.7'],
      [{ octets: 3, eightBit: true }, '5.6.3'],
    ] as const) {
      client.handleInput({ kind: 'message', message: message(change) });
      const { sent, events } = drain(client);
      expect(sent).toBe('');
      expect(events).toMatchObject([{ kind: 'result', replies: [{ reply: { status } }] }]);
    }
  });

  it('takes nothing that was said in the clear behind the reply to STARTTLS', () => {
    const { client, after } = ready(['STARTTLS'], 'opportunistic');
    expect(after.sent).toBe('STARTTLS\r\n');
    // Injected by whoever sits on the path: it must not be read inside the TLS session.
    expect(say(client, '220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n').sent).toContain('[end]');
    const other = ready(['STARTTLS'], 'opportunistic').client;
    expect(say(other, '220 go\r\n250 half a li').sent).toBe('[startTls]');
    other.handleInput({ kind: 'secured' });
    expect(drain(other).sent).toBe('EHLO me\r\n');
    expect(say(other, '250 you\r\n').events).toMatchObject([{ kind: 'ready' }]);
  });

  it('has no session without TLS where the route requires it, and never sends a password in the clear', () => {
    const refused = ready(['AUTH PLAIN'], 'required').after;
    expect(refused.events).toMatchObject([{ kind: 'refused', reply: { status: '4.7.4' } }]);
    const client = new SmtpClient({ name: 'me', tls: 'never', auth: { user: 'u', password: 'p' } });
    client.handleInput({ kind: 'connected' });
    say(client, '220 hi\r\n');
    const after = say(client, '250-you\r\n250 AUTH PLAIN\r\n');
    expect(after.events).toMatchObject([{ kind: 'refused' }]);
    expect(after.sent).not.toContain('AUTH');
  });

  it('gives up a peer that does not speak SMTP, or never ends a line', () => {
    for (const noise of ['HTTP/1.1 200 OK\r\n', `220-${'x'.repeat(5000)}`, '250-a\r\n'.repeat(300)]) {
      const client = new SmtpClient({ name: 'me', tls: 'never' });
      client.handleInput({ kind: 'connected' });
      expect(say(client, noise).sent).toContain('[abort]');
    }
  });
});
