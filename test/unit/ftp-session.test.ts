import { describe, expect, test } from 'vitest';
import { fail, seconds } from '../../src/core/index.ts';
import { contactsAt, DIRECTORY, FakeFtpWorld } from '../support/ftp-fake.ts';

const world = (): FakeFtpWorld => new FakeFtpWorld().logIn();

describe('time-outs', () => {
  test('an idle session ends after its time, with 421', () => {
    const w = world();
    w.pass(seconds(299));
    expect(w.closed).toBe(false);
    w.pass(seconds(1));
    expect([w.closed, w.replies.at(-1)!.slice(0, 3)]).toEqual([true, '421']);
  });

  test('without a login it ends after two minutes', () => {
    const w = new FakeFtpWorld();
    w.send('NOOP\r\n');
    w.pass(seconds(119));
    expect(w.closed).toBe(false);
    w.pass(seconds(1));
    expect(w.closed).toBe(true);
  });

  test('time between contacts does not count', () => {
    // Six minutes in contact, 90 without, again and again. The last command comes 100 s before the first contact's end.
    const w = new FakeFtpWorld({}, contactsAt([0, 5700, 11_400], 360)).logIn();
    w.pass(seconds(260));
    w.send('NOOP\r\n');
    w.pass(seconds(5439));
    expect(w.closed).toBe(false);
    // 100 s of the first contact and 200 s of the second.
    w.pass(seconds(1 + 199));
    expect(w.closed).toBe(false);
    w.pass(seconds(1));
    expect(w.closed).toBe(true);
  });

  test('a transfer of hours at 300 bit/s keeps the control connection', () => {
    const w = world();
    w.holdTransfers = true;
    w.tree.set('/a', 'x');
    w.send('PASV\r\nRETR a\r\n');
    for (let hour = 0; hour < 5 * 60; hour++) {
      w.transferOctets += 2250;
      w.pass(seconds(60));
    }
    expect(w.closed).toBe(false);
    w.endTransfer();
    expect(w.replies.at(-1)).toMatch(/^226/);
    w.pass(seconds(299));
    expect(w.say('NOOP')).toBe(200);
  });

  test('a transfer without an octet in all its contact time is given up; the session stays', () => {
    const w = new FakeFtpWorld({}, contactsAt([0, 5700], 360)).logIn();
    w.holdTransfers = true;
    w.tree.set('/a', 'x');
    w.send('PASV\r\nRETR a\r\n');
    w.transferOctets = 1;
    w.pass(seconds(5700 + 230));
    expect(w.replies.at(-1)).toMatch(/^150/);
    w.pass(seconds(20));
    w.pass(seconds(600));
    w.pass(seconds(200_000));
    expect(w.replies.some((reply) => reply.startsWith('426'))).toBe(true);
  });

  test('a data connection that does not come is 425 after a minute', () => {
    const w = world();
    w.holdTransfers = true;
    w.connected = false;
    w.tree.set('/a', 'x');
    w.send('PASV\r\nRETR a\r\n');
    w.pass(seconds(59));
    expect(w.replies.at(-1)).toMatch(/^150/);
    w.pass(seconds(1));
    expect(w.replies.at(-1)).toMatch(/^425/);
    expect(w.say('NOOP')).toBe(200);
  });

  test('SITE IDLE changes the time, within limits', () => {
    const w = world();
    expect(w.say('SITE IDLE 5')).toBe(501);
    expect(w.say('SITE IDLE 3600')).toBe(200);
    w.pass(seconds(3599));
    expect(w.closed).toBe(false);
    w.pass(seconds(1));
    expect(w.closed).toBe(true);
  });
});

describe('while a transfer runs', () => {
  const running = (): FakeFtpWorld => {
    const w = world();
    w.holdTransfers = true;
    w.tree.set('/a', 'x');
    w.send('PASV\r\nRETR a\r\n');
    w.transferOctets = 1234;
    return w;
  };

  test('STAT answers at once with how far it is; other commands wait their turn', () => {
    const w = running();
    expect(w.send('STAT\r\n')[0]).toMatch(/^211-[\s\S]*RETR: 1234 octets so far/);
    expect(w.send('NOOP\r\nPWD\r\n')).toEqual([]);
    w.endTransfer();
    expect(w.replies.slice(-3).map((r) => r.slice(0, 3))).toEqual(['226', '200', '257']);
  });

  test.each([
    ['plain', 'ABOR\r\n'],
    ['with SYNCH, data mark inline', '\xff\xf4\xff\xf2ABOR\r\n'],
    ['with SYNCH, IAC taken out as the urgent octet', '\xff\xf4\xf2ABOR\r\n'],
    ['with SYNCH, data mark taken out', '\xff\xf4\xffABOR\r\n'],
    ['lower case, LF', 'abor\n'],
  ])('ABOR: %s', (_, text) => {
    const w = running();
    expect(w.send(text).map((r) => r.slice(0, 3))).toEqual(['426', '226']);
    expect(w.say('NOOP')).toBe(200);
  });

  test('ABOR behind queued commands is acted on first', () => {
    const w = running();
    expect(w.send('NOOP\r\nABOR\r\n').map((r) => r.slice(0, 3))).toEqual(['426', '226', '200']);
  });

  test('QUIT waits for the transfer', () => {
    const w = running();
    w.send('QUIT\r\n');
    expect(w.closed).toBe(false);
    w.endTransfer();
    expect([w.closed, ...w.replies.slice(-2).map((r) => r.slice(0, 3))]).toEqual([true, '226', '221']);
  });

  test('a flood of commands ends the session instead of filling memory', () => {
    const w = running();
    w.send('NOOP\r\n'.repeat(2000));
    expect([w.closed, w.replies.at(-1)!.slice(0, 3)]).toEqual([true, '421']);
  });

  test.each([
    ['disk-full', '452'],
    ['quota', '552'],
    ['connection-lost', '426'],
    ['no-connection', '425'],
    ['tls', '425'],
    ['io', '451'],
  ] as const)('%s is %s', (reason, code) => {
    const w = running();
    w.endTransfer(fail(reason));
    expect(w.replies.at(-1)!.slice(0, 3)).toBe(code);
  });
});

describe('commands', () => {
  test('FEAT lists what OPTS can change, and it changes', () => {
    const w = world();
    expect(w.send('FEAT\r\n')[0]).toContain(' MLST Type*;Size*;Modify*;Perm*;Unique*;UNIX.mode*;\r\n');
    expect(w.send('OPTS MLST size;type;\r\n')[0]).toBe('200 MLST OPTS Type;Size;\r\n');
    expect(w.send('FEAT\r\n')[0]).toContain(' MLST Type*;Size*;Modify;Perm;Unique;UNIX.mode;\r\n');
    w.tree.set('/a', 'abc');
    expect(w.send('MLST a\r\n')[0]).toBe('250-Listing /a\r\n Type=file;Size=3; /a\r\n250 End\r\n');
    expect(w.say('OPTS UTF8 ON')).toBe(200);
    expect(w.say('OPTS UTF8 maybe')).toBe(501);
  });

  test('HASH and the older forms', () => {
    const w = world();
    w.tree.set('/a', 'abc');
    expect(w.send('HASH a\r\n')[0]).toBe('213 SHA-256 0-2 abc a\r\n');
    expect(w.say('OPTS HASH MD5')).toBe(200);
    expect(w.send('HASH a\r\n')[0]).toBe('213 MD5 0-2 abc a\r\n');
    expect(w.say('OPTS HASH ROT13')).toBe(501);
    expect(w.send('XSHA256 "a" 1 2\r\n')[0]).toBe('250 ABC\r\n');
  });

  test('SITE PASS tells the contacts and what still fits', () => {
    const w = new FakeFtpWorld({}, contactsAt([0, 5700], 360)).logIn();
    w.pass(seconds(90));
    expect(w.send('SITE PASS\r\n')[0]).toBe(
      '200-Contacts, UTC (now 1970-01-01 00:01:30):\r\n' +
        ' surrey: now to 1970-01-01 00:06:00, 270 s, up 27000 octets, down 270000 octets\r\n' +
        ' surrey: 1970-01-01 01:35:00 to 1970-01-01 01:41:00, 360 s, up 36000 octets, down 360000 octets\r\n' +
        '200 End\r\n',
    );
    expect(world().send('SITE PASS\r\n')).toEqual(['200 The link is always up.\r\n']);
  });

  test('MFMT, MDTM', () => {
    const w = world();
    w.tree.set('/a b', 'x');
    expect(w.send('MFMT 20261121112003 a b\r\n')[0]).toBe('213 Modify=20261121112003; /a b\r\n');
    expect(w.performed.at(-1)).toMatchObject({ do: 'set-modified', path: '/a b', modifiedMs: 1_795_260_003_000 });
    expect(w.say('MFMT 20261321112003 a')).toBe(501);
    expect(w.send('MDTM a b\r\n')[0]).toBe('213 19700101000000\r\n');
  });

  test('HOST comes before the login (RFC 7151)', () => {
    const w = new FakeFtpWorld();
    expect(w.say('HOST spacecraft.example')).toBe(220);
    expect(w.say('HOST 10.0.0.1')).toBe(220);
    expect(w.say('HOST 10.0.0.9')).toBe(504);
    expect(w.say('HOST 10.0.0.1:21')).toBe(501);
    expect(w.say('HOST [::1]:21')).toBe(501);
    expect(world().say('HOST x')).toBe(503);
  });

  test('types, modes, structures', () => {
    const w = world();
    const codes = [
      'TYPE A',
      'TYPE A N',
      'TYPE I',
      'TYPE L 8',
      'TYPE E',
      'TYPE L 36',
      'TYPE X',
      'MODE S',
      'MODE B',
      'STRU F',
      'STRU R',
    ];
    expect(codes.map((c) => w.say(c))).toEqual([200, 200, 200, 200, 504, 504, 501, 200, 504, 200, 504]);
  });

  test('anonymous reads; who may not write is told so before any data', () => {
    const w = new FakeFtpWorld({ anonymous: 'read-only' });
    w.send('USER anonymous\r\nPASS me@example.com\r\n');
    w.tree.set('/d', DIRECTORY);
    expect(w.say('CWD d')).toBe(250);
    for (const command of [
      'STOR x',
      'APPE x',
      'STOU',
      'DELE x',
      'MKD x',
      'RMD /d',
      'RNFR /d',
      'SITE CHMOD 777 /d',
      'MFMT 20260101000000 x',
    ])
      expect(w.say(command), command).toBe(550);
  });

  test('REIN logs out but TLS stays; three wrong passwords end the session', () => {
    const w = world();
    expect(w.say('AUTH TLS')).toBe(234);
    expect(w.say('AUTH TLS')).toBe(503);
    expect(w.say('PWD')).toBe(530);
    w.logIn();
    expect(w.say('REIN')).toBe(220);
    expect(w.say('PBSZ 0')).toBe(200);
    for (let i = 0; i < 3; i++) {
      w.send('USER op\r\nPASS wrong\r\n');
      w.pass(seconds(4));
    }
    expect(w.replies.slice(-2).map((r) => r.slice(0, 3))).toEqual(['530', '421']);
  });

  test('a verb of letters whose upper case is no octet (0xB5, 0xFF) is refused like any other', () => {
    expect(world().send('\xb5\xff \xb5\r\n')).toEqual(["500 Command not understood: '\xb5\xff'.\r\n"]);
  });

  test('a browser’s request is turned away', () => {
    const w = new FakeFtpWorld();
    w.send(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(30)}`);
    expect(w.closed).toBe(true);
  });
});
