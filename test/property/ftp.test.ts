/** The FTP server against arbitrary octets, paths and command sequences. fast-check prints the seed of a failure. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  canonicalAddress,
  FromNetwork,
  formatTimeValue,
  fromUnicode,
  parseTimeValue,
  resolvePath,
  ToNetwork,
} from '../../src/apps/ftp/index.ts';
import { matchesPattern } from '../../src/apps/ftp/listing.ts';
import { seconds } from '../../src/core/index.ts';
import { FtpTree } from '../../src/io/ftp-files.ts';
import { FtpUploads } from '../../src/io/ftp-upload.ts';
import { DIRECTORY, FakeFtpWorld } from '../support/ftp-fake.ts';

const octetText = (maxLength: number) => fc.uint8Array({ maxLength }).map((octets) => String.fromCharCode(...octets));

/** Words that paths and commands are made of, odd ones among them. */
const verbs = fc.constantFrom(
  ...'USER PASS ACCT REIN QUIT CWD CDUP PWD MKD RMD TYPE MODE STRU PASV PORT EPSV EPRT RETR STOR APPE STOU REST ABOR DELE RNFR RNTO ALLO LIST NLST MLST MLSD SIZE MDTM MFMT STAT SYST HELP NOOP FEAT OPTS SITE HASH XSHA256 AUTH PBSZ PROT CCC HOST'.split(
    ' ',
  ),
);
const names = fc.constantFrom(
  '.',
  '..',
  '...',
  '',
  '/',
  'a',
  'b',
  ' ',
  '"',
  '*',
  '[',
  '%2e%2e',
  '\\',
  '..\\..',
  '\xc0\xae',
  '\0',
  '~',
  '-a',
  'x'.repeat(300),
  '.omni-upload.a',
);
const paths = fc.array(names, { maxLength: 8 }).map((parts) => parts.join('/'));
const lines = fc.oneof(
  fc
    .tuple(
      verbs,
      fc.oneof(
        paths,
        octetText(40),
        fc.constantFrom('A', 'I', 'TLS', '0', 'P', 'ALL', '127,0,0,1,1,1', '|1|1.2.3.4|9|'),
      ),
    )
    .map(([v, a]) => `${v} ${a}\r\n`),
  verbs.map((v) => `${v}\r\n`),
  octetText(60),
);

describe('any octets', () => {
  test('never throw, never hang, never answer with a malformed reply', () => {
    fc.assert(
      fc.property(fc.array(lines, { maxLength: 40 }), fc.boolean(), (sent, loggedIn) => {
        const world = new FakeFtpWorld();
        if (loggedIn) world.logIn();
        for (const text of sent) world.send(text);
        world.pass(seconds(10));
        for (const reply of world.replies)
          expect(reply).toMatch(/^(\d{3}) [^\r\n]*\r\n$|^(\d{3})-[^\r\n]*\r\n(?: [^\r\n]*\r\n)*\2 [^\r\n]*\r\n$/);
      }),
      { numRuns: 300 },
    );
  });

  test('the same replies however the octets are cut into segments', () => {
    fc.assert(
      fc.property(
        fc.array(lines, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (sent, cuts) => {
          // AUTH discards the rest of its segment, and ABOR and STAT ask what runs just now: there the cut counts.
          const text = sent.filter((line) => !/AUTH|CCC|ABOR|STAT/i.test(line)).join('');
          const whole = new FakeFtpWorld().logIn();
          whole.send(text);
          const cut = new FakeFtpWorld().logIn();
          for (let at = 0, i = 0; at < text.length; i++) {
            const length = cuts[i % cuts.length]!;
            cut.send(text.slice(at, at + length));
            at += length;
          }
          expect(cut.replies).toEqual(whole.replies);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('paths', () => {
  test('resolved ones are absolute, clean and below the root', () => {
    fc.assert(
      fc.property(paths, fc.oneof(paths, octetText(50)), (directory, argument) => {
        const base = resolvePath('/', directory);
        const resolved = resolvePath(base.ok ? base.value : '/', argument);
        if (!resolved.ok) return;
        expect(resolved.value.startsWith('/')).toBe(true);
        expect(
          resolved.value
            .split('/')
            .slice(1)
            .filter((n) => n === '' || n === '.' || n === '..').length,
        ).toBe(resolved.value === '/' ? 1 : 0);
        expect(resolvePath('/', resolved.value)).toEqual(resolved);
      }),
    );
  });

  let folder: string;
  let tree: FtpTree;
  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), `omni-ftp-fuzz-${process.pid}-`)));
    const root = join(folder, 'root');
    mkdirSync(join(root, 'a', 'b'), { recursive: true });
    writeFileSync(join(folder, 'secret'), 'secret');
    mkdirSync(join(folder, 'root-beside'));
    writeFileSync(join(folder, 'root-beside', 'secret'), 'secret');
    symlinkSync('../secret', join(root, 'l1'));
    symlinkSync('..', join(root, 'l2'));
    symlinkSync('/', join(root, 'l3'));
    symlinkSync('l2/root-beside', join(root, 'a', 'l4'));
    symlinkSync('../a', join(root, 'a', 'b', 'in'));
    symlinkSync('loop', join(root, 'loop'));
    tree = await FtpTree.open({ root, name: 'u', user: 'u', uploads: new FtpUploads() });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('on a real tree full of links nothing outside is described, listed or opened', async () => {
    const parts = fc.constantFrom(
      'a',
      'b',
      'in',
      'l1',
      'l2',
      'l3',
      'l4',
      'loop',
      'secret',
      'root',
      'root-beside',
      'etc',
      'passwd',
      '..',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 7 }), async (names) => {
        const path = resolvePath('/', names.join('/'));
        if (!path.ok) return;
        let inside = false;
        try {
          const real = realpathSync(join(folder, 'root', path.value));
          inside = real === join(folder, 'root') || real.startsWith(join(folder, 'root/'));
        } catch {}
        const described = await tree.describe({ path: path.value });
        const listed = await tree.list({ path: path.value });
        const opened = await tree.openRead(path.value, 0, false);
        if (opened.ok) await opened.value.file.close();
        if (!inside) expect([described.ok, listed.ok, opened.ok]).toEqual([false, false, false]);
        if (listed.ok) expect(listed.value.some(({ name }) => /^l[1-4]$|secret/.test(name))).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});

test('text translation: any chunking, and back to what it was when lines end with LF', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(10, 13, 65, 0, 255), { maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      fc.nat(20),
      (octets, cut, skip) => {
        const file = Uint8Array.from(octets);
        const run = (
          translation: { translate(o: Uint8Array): Uint8Array; finish(): Uint8Array },
          input: Uint8Array,
          size: number,
        ) => {
          const out: number[] = [];
          for (let at = 0; at < input.length; at += size)
            out.push(...translation.translate(input.slice(at, at + size)));
          return [...out, ...translation.finish()];
        };
        const sent = run(new ToNetwork(), file, cut);
        expect(sent).toEqual(run(new ToNetwork(), file, 1000));
        expect(run(new ToNetwork(skip), file, cut)).toEqual(sent.slice(skip));
        const back = run(new FromNetwork(), Uint8Array.from(sent), cut);
        const withoutCr = octets.every((octet, i) => octet !== 13 || octets[i + 1] !== 10);
        if (withoutCr) expect(back).toEqual([...file]);
      },
    ),
  );
});

test('time values: there and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (ms) => {
      expect(parseTimeValue(formatTimeValue(ms))).toBe(ms);
      const expected = new Date(ms)
        .toISOString()
        .replace(/[-:TZ]/g, '')
        .replace('.000', '');
      expect(formatTimeValue(ms)).toBe(expected);
    }),
  );
  for (const text of ['', '2026', '20261301000000', '20260230000000', '20260101250000', '2026010100000x'])
    expect(parseTimeValue(text)).toBeUndefined();
  expect(parseTimeValue('20161231235960')).toBe(Date.UTC(2017, 0, 1));
});

test('patterns agree with the same as a regular expression', () => {
  const pattern = fc.array(fc.constantFrom('*', '?', 'a', 'b', '.', '[ab]', '[!a]'), { maxLength: 8 });
  const name = fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 10 });
  fc.assert(
    fc.property(pattern, name, (parts, letters) => {
      const text = letters.join('');
      const source = parts
        .map((p) => (p === '*' ? '.*' : p === '?' ? '.' : p === '.' ? '\\.' : p.replace('!', '^')))
        .join('');
      const expected = new RegExp(`^${source}$`).test(text) && !(text.startsWith('.') && parts[0] !== '.');
      expect(matchesPattern(parts.join(''), text)).toBe(expected);
    }),
  );
});

test('addresses have one spelling', () => {
  const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(groups, (numbers) => {
      const full = numbers.map((n) => n.toString(16).padStart(4, '0')).join(':');
      const short = new URL(`http://[${full}]`).hostname.slice(1, -1);
      expect(canonicalAddress(short)).toBe(canonicalAddress(full.toUpperCase()));
    }),
  );
  expect(canonicalAddress('::ffff:10.0.0.1')).toBe('10.0.0.1');
  expect(canonicalAddress('fe80::1%eth0')).toBe('fe80:0:0:0:0:0:0:1');
});

/** The session's state as a few variables, and the code that each command must have by them. */
class Model {
  user = false;
  loggedIn = false;
  directory = '/';
  renameFrom: string | undefined;
  route = false;
  restart = 0;
  readonly tree = new Map<string, string | typeof DIRECTORY>([['/', DIRECTORY]]);

  /** The code of the last reply; undefined when the session must have ended without more. */
  say(verb: string, argument: string): number {
    const renameFrom = this.renameFrom;
    this.renameFrom = undefined;
    const code = this.#code(verb, argument, renameFrom);
    if (!['REST', 'PASV', 'NOOP', 'SIZE'].includes(verb)) this.restart = 0;
    return code;
  }

  #code(verb: string, argument: string, renameFrom: string | undefined): number {
    if (verb === 'NOOP') return 200;
    if (verb === 'USER') {
      [this.user, this.loggedIn, this.directory] = [true, false, '/'];
      return 331;
    }
    if (verb === 'PASS') {
      if (!this.user) return 503;
      [this.user, this.loggedIn] = [false, true];
      return 230;
    }
    if (verb === 'REIN') {
      [this.user, this.loggedIn, this.directory, this.route] = [false, false, '/', false];
      return 220;
    }
    if (!this.loggedIn) return 530;
    const path = new URL(argument, `ftp://x${this.directory.replace(/\/?$/, '/')}`).pathname.replace(/(.)\/$/, '$1');
    const at = this.tree.get(path);
    const parent = this.tree.get(path.slice(0, path.lastIndexOf('/')) || '/');
    switch (verb) {
      case 'PASV':
        this.route = true;
        return 227;
      case 'REST':
        this.restart = 2;
        return 350;
      case 'CWD':
        if (at !== DIRECTORY) return 550;
        this.directory = path;
        return 250;
      case 'MKD':
        if (at !== undefined || parent !== DIRECTORY) return 550;
        this.tree.set(path, DIRECTORY);
        return 257;
      case 'RMD':
        if (at !== DIRECTORY || path === '/' || [...this.tree.keys()].some((p) => p.startsWith(`${path}/`))) return 550;
        this.tree.delete(path);
        return 250;
      case 'DELE':
        if (typeof at !== 'string') return 550;
        this.tree.delete(path);
        return 250;
      case 'SIZE':
        return typeof at === 'string' ? 213 : 550;
      case 'RNFR':
        if (at === undefined) return 550;
        this.renameFrom = path;
        return 350;
      case 'RNTO': {
        if (renameFrom === undefined) return 503;
        const moved = this.tree.get(renameFrom);
        if (moved === undefined || moved === DIRECTORY || at === DIRECTORY || parent !== DIRECTORY) return 550;
        this.tree.delete(renameFrom);
        this.tree.set(path, moved);
        return 250;
      }
      case 'RETR':
        if (!this.route) return 425;
        if (typeof at !== 'string') return 550;
        if (this.restart > at.length) return 554;
        this.route = false;
        return 226;
      default: {
        if (!this.route) return 425;
        if (at === DIRECTORY || parent !== DIRECTORY) return 550;
        const old = at ?? '';
        if (verb === 'STOR' && this.restart > old.length) return 554;
        this.route = false;
        const kept = verb === 'APPE' ? old : old.slice(0, this.restart);
        this.tree.set(path, `${kept}data`);
        return 226;
      }
    }
  }
}

test('a session’s state follows a simple model of it', () => {
  const verb = fc.constantFrom(
    'USER',
    'PASS',
    'REIN',
    'NOOP',
    'PASV',
    'PASV',
    'REST',
    'CWD',
    'MKD',
    'MKD',
    'RMD',
    'DELE',
    'SIZE',
    'RNFR',
    'RNTO',
    'RETR',
    'STOR',
    'STOR',
    'APPE',
  );
  const argument = fc.constantFrom('a', 'b', '..', '/', '/a', 'a/b', '/a/b/a', '../b', './a');
  fc.assert(
    fc.property(fc.array(fc.tuple(verb, argument), { maxLength: 60 }), (commands) => {
      const world = new FakeFtpWorld();
      world.send('USER op\r\nPASS secret\r\nTYPE I\r\n');
      const model = new Model();
      model.say('USER', '');
      model.say('PASS', '');
      for (const [v, a] of commands) {
        const sent = v === 'USER' ? 'op' : v === 'PASS' ? 'secret' : v === 'REST' ? '2' : a;
        // The model speaks of binary transfers only.
        if (v === 'PASS' && model.user) world.say(`PASS secret\r\nTYPE I`);
        const code =
          v === 'PASS' && model.user ? 230 : world.say(['PASV', 'NOOP', 'REIN'].includes(v) ? v : `${v} ${sent}`);
        expect(code, `${v} ${sent} after ${world.logs.join(' | ')}`).toBe(model.say(v, a));
      }
      expect(Object.fromEntries(world.tree)).toEqual(Object.fromEntries(model.tree));
    }),
    { numRuns: 300 },
  );
});

test('octet text carries any Unicode name', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(Buffer.from(fromUnicode(text), 'latin1').equals(Buffer.from(new TextEncoder().encode(text)))).toBe(true);
    }),
  );
});
