/** What a slow link must not carry: replies to a pipelined group come together, and EHLO's says no more than it must. */
import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { type LocalRelay, localRelay } from '../../support/mail/local-relay.ts';

let relay: LocalRelay | undefined;
afterEach(() => relay?.close());

it('answers MAIL, RCPT and DATA of one group in one piece (RFC 2920 section 3.2)', async () => {
  relay = await localRelay();
  const socket = connect(relay.port, '127.0.0.1');
  let pieces: string[] = [];
  let wake: () => void = () => {};
  socket.on('data', (octets) => {
    pieces.push(octets.toString('latin1'));
    wake();
  });
  const until = async (end: RegExp) => {
    while (!end.test(pieces.join('')))
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return pieces;
  };
  await until(/^220 .*\r\n$/);
  pieces = [];
  socket.write('EHLO client.test\r\n');
  expect((await until(/^250 .*\r\n$/m)).join('')).toMatch(/^250-relay\.test\r\n/);
  pieces = [];
  socket.write('MAIL FROM:<a@client.test>\r\nRCPT TO:<b@relay.test>\r\nRCPT TO:<c@relay.test>\r\nDATA\r\n');
  expect(await until(/^354 .*\r\n$/m)).toHaveLength(1);
  pieces = [];
  socket.write('Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n');
  await until(/^221 .*\r\n$/m);
  expect(pieces.join('')).toMatch(/^250 .*\r\n221 /);
  socket.destroy();
  await relay.until(() => relay!.mail.relay.queue.size === 0);
});
