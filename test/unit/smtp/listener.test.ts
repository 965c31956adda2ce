/** What the server says to clients that are odd, old or in a hurry, over real sockets on loopback. */
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay } from '../../support/mail/local-relay.ts';
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
const trusting = { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] };

async function letter(r: LocalRelay, hello: string): Promise<string> {
  const talk = await Talk.open(r.port);
  expect(await talk.say(hello)).toMatch(/^250/);
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<box@relay.test>'])
    expect(await talk.say(line)).toMatch(/^250/);
  await talk.say('DATA');
  expect(await talk.say('Subject: x\r\n\r\nx\r\n.')).toMatch(/^250/);
  talk.end();
  await r.until(() => r.mailbox('box').length > 0);
  return r.mailbox('box').at(-1)!;
}

describe('the greeting', () => {
  /** Milliseconds until the greeting, of the fastest of five. */
  async function greeting(port: number): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const begin = performance.now();
      const talk = await Talk.open(port);
      times.push(performance.now() - begin);
      talk.end();
    }
    return Math.min(...times);
  }

  it('comes at once to those who may relay, and to strangers after the time in which early talkers are caught', async () => {
    const [trusted, strict] = [await relay({ policy: trusting }), await relay()];
    expect(await greeting(trusted.port)).toBeLessThan(90);
    expect(await greeting(strict.port)).toBeGreaterThan(90);
  });

  it('is not given to a stranger who talks first', async () => {
    const r = await relay();
    const socket = connect(r.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (octets) => {
      heard += octets.toString();
    });
    socket.write('EHLO spam.test\r\nMAIL FROM:<a@b>\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(heard).toMatch(/^421 .*too soon/);
  });
});

describe('the trace field (RFC 5321 section 4.4, RFC 3848)', () => {
  it.each([
    ['HELO old.test', 'from old.test ([127.0.0.1])\n\tby relay.test with SMTP id'],
    ['EHLO new.test', 'from new.test ([127.0.0.1])\n\tby relay.test with ESMTP id'],
    ['EHLO [127.0.0.1]', 'from [127.0.0.1] ([127.0.0.1])\n\tby relay.test with ESMTP id'],
    // What is no name would be taken for comments, or for other fields of the trace.
    ['EHLO x)(by;<evil@x>', 'from [127.0.0.1] ([127.0.0.1])\n\tby relay.test with ESMTP id'],
  ])('after %s', async (hello, trace) => {
    expect(await letter(await relay(), hello)).toContain(`Received: ${trace}`);
  });
});

describe('parameters that cannot be met', () => {
  it('are refused with 555 and 501, not passed over (RFC 5321 section 4.1.1.11, RFC 6710 section 4.1)', async () => {
    const r = await relay({ policy: trusting });
    const talk = await Talk.open(r.port);
    await talk.say('EHLO client.test');
    expect(await talk.say('MAIL FROM:<a@b> FOO=bar')).toMatch(/^555 5\.5\.4 .*FOO/);
    expect(await talk.say('MAIL FROM:<a@b> REQUIRETLS')).toMatch(/^5\d\d /);
    for (const wrong of ['10', '-10', '1.5', 'high', '+', ''])
      expect(await talk.say(`MAIL FROM:<a@b> MT-PRIORITY=${wrong}`), wrong).toMatch(/^501 5\.5\.[24]/);
    expect(await talk.say('MAIL FROM:<a@b> MT-PRIORITY=-9 SIZE=10 BODY=8BITMIME RET=HDRS ENVID=x')).toMatch(/^250/);
    expect(await talk.say('RCPT TO:<box@relay.test> FOO')).toMatch(/^555 5\.5\.4 .*FOO/);
    expect(await talk.say('RCPT TO:<box@relay.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;box@relay.test')).toMatch(/^250/);
    talk.end();
  });
});
