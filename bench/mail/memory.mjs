// Peak resident memory (VmHWM of /proc/PID/status) of `omni serve smtp`: with many messages queued, listed and read back after a
// restart; and with one large message passing through, on the sending and on the receiving relay.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const LIMIT_MB = 100;
const SESSIONS = 8;

/** @returns whether every peak is under 100 MB (of 10^6 octets). */
export async function measureMemory(queued, megabytes) {
  const folder = mkdtempSync(join(tmpdir(), 'omni-bench-mail-'));
  const relays = [];
  try {
    const start = async (...args) => {
      const relay = await startRelay(args);
      relays.push(relay);
      return relay;
    };
    // A plan whose next contact is a day off, so that all of it stays queued.
    const plan = join(folder, 'plan.ion');
    writeFileSync(plan, 'a contact +86400 +87000 1 2 1000\n');
    const waiting = ['--queue', join(folder, 'many'), '--domain', 'a.test', '--relay-for', '127.0.0.0/8'];
    waiting.push('--contacts', plan, '--node', '1', '--route', 'b.test=127.0.0.1:1,peer=2');
    const peaks = [];
    const filled = await start(...waiting);
    const share = Array.from({ length: SESSIONS }, (_, i) => submitMany(filled.port, i, queued));
    await Promise.all(share);
    peaks.push([`${queued} messages queued, received by it`, filled.peak()]);
    await filled.stop();
    const again = await start(...waiting);
    peaks.push([`${queued} messages queued, read at its start`, again.peak()]);
    await run(['mailq', '--queue', join(folder, 'many'), '--json']);
    peaks.push(['… and listed by omni mailq --json', again.peak()]);
    await again.stop();

    const end = await start('--queue', join(folder, 'end'), '--domain', 'b.test', '--relay-for', '127.0.0.0/8');
    const route = `b.test=127.0.0.1:${end.port},always`;
    const middle = await start(
      ...['--queue', join(folder, 'middle'), '--domain', 'a.test', '--relay-for', '127.0.0.0/8', '--route', route],
    );
    await submitLarge(middle.port, megabytes * 1e6);
    await until(() => readdirSync(join(folder, 'end', 'mail', 'u', 'new'), { recursive: false }).length > 0);
    peaks.push([`a message of ${megabytes} MB in and out`, middle.peak()]);
    peaks.push([`a message of ${megabytes} MB in and into a Maildir`, end.peak()]);
    console.log(`peak resident memory of omni serve smtp, Node ${process.version}`);
    for (const [what, octets] of peaks) console.log(`  ${what.padEnd(48)} ${(octets / 1e6).toFixed(1)} MB`);
    return peaks.every(([, octets]) => octets < LIMIT_MB * 1e6);
  } finally {
    await Promise.all(relays.map((relay) => relay.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startRelay(args) {
  const words = ['serve', 'smtp', '--quiet', '--json', '--listen', '127.0.0.1:0', ...args];
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let text = '';
  const port = await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('omni serve smtp ended')));
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const match = /"port": (\d+)/.exec(text);
      if (match) resolve(Number(match[1]));
    });
  });
  return {
    port,
    peak: () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]),
    stop: () => {
      if (child.exitCode === null) child.kill('SIGTERM');
      return ended;
    },
  };
}

function run(words) {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: 'ignore' });
  return new Promise((resolve) => child.once('exit', resolve));
}

async function submitMany(port, first, count) {
  const say = await session(port);
  for (let i = first; i < count; i += SESSIONS) {
    await say('MAIL FROM:<ops@a.test>');
    await say(`RCPT TO:<u${i}@b.test>`);
    await say('DATA');
    const header = `From: ops@a.test\r\nTo: u${i}@b.test\r\nSubject: message number ${i}\r\nMessage-ID: <${i}@a.test>`;
    await say(`${header}\r\n\r\n${'x'.repeat(70)}\r\n.`);
  }
  await say('QUIT');
}

async function submitLarge(port, octets) {
  const say = await session(port);
  await say('MAIL FROM:<ops@a.test>');
  await say('RCPT TO:<u@b.test>');
  await say('DATA');
  const chunk = Buffer.from(`${'y'.repeat(76)}\r\n`.repeat(840));
  say.socket.write('Subject: large\r\n\r\n');
  for (let sent = 0; sent < octets; sent += chunk.length)
    if (!say.socket.write(chunk)) await new Promise((resolve) => say.socket.once('drain', resolve));
  await say('.');
  await say('QUIT');
}

/** Says a line and waits for the reply, which must not be a refusal. */
async function session(port) {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  const waiting = [];
  socket.on('data', (chunk) => {
    received += chunk;
    for (let m = REPLY.exec(received); m !== null; m = REPLY.exec(received)) {
      received = received.slice(m[0].length);
      waiting.shift()?.(m[0]);
    }
  });
  const reply = () => new Promise((resolve) => waiting.push(resolve));
  const check = (text) => {
    if (/^[45]/.test(text)) throw new Error(text);
  };
  check(await reply());
  const say = async (line) => {
    const answer = reply();
    socket.write(`${line}\r\n`);
    check(await answer);
  };
  say.socket = socket;
  await say('EHLO bench');
  return say;
}
const REPLY = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/;

async function until(condition) {
  for (;;) {
    try {
      if (condition()) return;
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
