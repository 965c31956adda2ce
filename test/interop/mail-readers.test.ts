/** The relay's Maildirs as stock mail readers see them: mutt, s-nail and Python's mailbox open one and find the letters. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay } from '../support/mail/local-relay.ts';
import { onPath } from '../support/testbed.ts';

const LETTERS = ['a picture of the limb', 'and its log'];
let relay: LocalRelay;
let maildir: string;

beforeAll(async () => {
  relay = await localRelay();
  maildir = join(relay.folder, 'mail', 'pi');
  for (const subject of LETTERS)
    await createTransport({ host: '127.0.0.1', port: relay.port, ignoreTLS: true }).sendMail({
      from: 'craft@relay.test',
      to: 'pi@relay.test',
      subject,
      text: '.dots\n.\nüber\n',
    });
  await relay.until(() => relay.mailbox('pi').length === LETTERS.length);
  mkdirSync(join(relay.folder, 'Mail'));
});
afterAll(() => relay.close());

/** What the program prints; none of them waits for a person for longer than ten seconds. */
function run(program: string, ...words: string[]): string {
  const env = { ...process.env, HOME: relay.folder, TERM: 'vt100', LC_ALL: 'C.UTF-8' };
  const { stdout, stderr } = spawnSync(program, words, { env, encoding: 'utf8', timeout: 10_000, input: '' });
  return stdout + stderr;
}

const READERS: Readonly<Record<string, () => string>> = {
  mutt: () => {
    // It draws on a terminal only: `script` has one.
    const keys = `-e 'set quit=yes' -e 'push <refresh><exit>'`;
    const command = `stty rows 24 cols 100; mutt -n -F /dev/null -R -f '${maildir}' ${keys}`;
    return run('script', '-qec', command, '/dev/null');
  },
  's-nail': () => run('s-nail', '-n', '-R', '-H', '-f', `maildir://${maildir}`),
  python3: () =>
    run('python3', '-c', `import mailbox\nfor m in mailbox.Maildir('${maildir}', create=False): print(m['Subject'])`),
};

describe('a Maildir is read by', () => {
  for (const [program, read] of Object.entries(READERS)) {
    const missing = [program, ...(program === 'mutt' ? ['script'] : [])].filter((name) => !onPath(name));
    if (missing.length > 0) console.log(`skipped: ${program} reads a Maildir: needs ${missing.join(', ')}`);
    it.skipIf(missing.length > 0)(program, () => {
      const seen = read();
      for (const subject of LETTERS) expect(seen).toContain(subject);
    });
  }
});
