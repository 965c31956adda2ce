// A mail relay as a process of its own, from the compiled code: `node relay-process.mjs '{"name":…}'`. Prints its port as a line
// of JSON. With `crashAt: n` it is killed before the n-th step of its store, as by kill -9.
import { MailRelay } from '../../../dist/io/mail-relay.js';

const { name, port, queue, policy, contact, crashAt } = JSON.parse(process.argv[2]);
const started = Date.now();
const wall = (ms) => BigInt(Math.round(ms)) * 1_000_000n;
let steps = 0;
const relay = await MailRelay.start({
  name,
  listen: [{ host: '127.0.0.1', port }],
  queue,
  maildir: `${queue}/mail`,
  policy,
  contacts: {
    always: false,
    next: () => (contact ? [{ peer: contact, begin: wall(started - 1e4), end: wall(started + 1e6) }] : []),
  },
  now: () => wall(Date.now()),
  log: () => {},
  step: () => {
    if (++steps === crashAt) process.kill(process.pid, 'SIGKILL');
  },
});
process.stdout.write(`${JSON.stringify({ port: relay.addresses[0].port })}\n`);
process.on('SIGTERM', async () => {
  await relay.close();
  process.stdout.write(`${JSON.stringify({ steps })}\n`, () => process.exit(0));
});
