// `node submitter.mjs NODE PORT` inside a namespace: hands messages (JSON lines on stdin) to the relay on this node until each is answered
// 250, and prints its key. A repeated one carries the same TRANSID and goes on at the offset of a 355 (RFC 1845), as a relay would.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { compose } from './passes.mjs';

const [node, port] = process.argv.slice(2);
const other = node === 'surrey' ? 'spacecraft' : 'surrey';
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

for await (const line of createInterface({ input: process.stdin })) void submit(JSON.parse(line));

async function submit(message) {
  for (;;) {
    try {
      await attempt(message);
      process.stdout.write(`${message.key}\n`);
      return;
    } catch (error) {
      if (error.sent) process.stdout.write('repeated\n');
      await pause(200);
    }
  }
}

async function attempt({ key, octets, priority }) {
  const socket = connect(Number(port), '127.0.0.1');
  let received = '';
  let sent = false;
  let wake = () => {};
  let closed = false;
  socket.on('data', (chunk) => {
    received += chunk;
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
    wake();
  });
  const reply = async (...codes) => {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*(\d{3}) .*\r\n/.exec(received);
      if (match) {
        received = received.slice(match[0].length);
        if (!codes.includes(match[1])) throw Object.assign(new Error(match[0]), { sent });
        return match[0];
      }
      if (closed) throw Object.assign(new Error('closed'), { sent });
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  };
  try {
    await reply('220');
    socket.write(`EHLO bench.${node}.test\r\n`);
    await reply('250');
    socket.write(`MAIL FROM:<sender@${node}.test> MT-PRIORITY=${priority} TRANSID=<${key}@bench>\r\n`);
    const mail = await reply('250', '355');
    socket.write(`RCPT TO:<box@${other}.test>\r\n`);
    await reply('250', '503');
    socket.write('DATA\r\n');
    await reply('354');
    const offset = mail.startsWith('355') ? Number(/^355 (\d+)/.exec(mail)[1]) : 0;
    socket.write(`${compose(key, octets).slice(offset).replace(/^\./gm, '..')}.\r\n`);
    sent = true;
    await reply('250');
    socket.end('QUIT\r\n');
  } finally {
    if (!closed) setTimeout(() => socket.destroy(), 500);
  }
}
