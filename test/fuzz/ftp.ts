/**
 * The FTP session and its path resolver: command lines good and bad, cut into segments anywhere, with Telnet's octets, NULs and
 * endless lines between them. Every reply must have its form, and every path that is asked of the file adapter its place.
 */
import { InvariantError, Rng, seconds } from '../../src/core/index.ts';
import { FakeFtpWorld } from '../support/ftp-fake.ts';
import type { FuzzTarget } from './target.ts';

const VERBS =
  'USER PASS ACCT REIN QUIT CWD CDUP PWD MKD RMD TYPE MODE STRU PASV PORT EPSV EPRT RETR STOR APPE STOU REST ABOR DELE RNFR RNTO ALLO LIST NLST MLST MLSD SIZE MDTM MFMT STAT SYST HELP NOOP FEAT OPTS SITE HASH XSHA256 AUTH PBSZ PROT CCC HOST'.split(
    ' ',
  );
const ARGUMENTS = [
  'op',
  'secret',
  'I',
  'A',
  'L 8',
  'TLS',
  '0',
  'P',
  'ALL',
  '1',
  '99999999999999999999',
  '-1',
  '10,0,0,2,100,1',
  '10,0,0,2,0,80',
  '1,2,3,4,5,6',
  '|1|10.0.0.2|2000|',
  '|2|::1|9|',
  'UTF8 ON',
  'MLST Type;Size;',
  'CHMOD 600 a',
  'IDLE 60',
  'PASS',
  '20200101000000 a',
];
const PARTS = ['.', '..', '...', '', 'a', 'b', ' ', '"', '*', '[', '%2e%2e', '\\', '\0', '~', '-a', '.omni-upload.a'];
const ODD = [
  '\xff\xf4\xff\xf2',
  '\xff\xfb\x01',
  '\xff\xff',
  '\r',
  '\n',
  '\0',
  '\xc3',
  'x'.repeat(9000),
  '\x16\x03\x01',
];
const REPLY = /^(\d{3}) [^\r\n]*\r\n$|^(\d{3})-[^\r\n]*\r\n(?: [^\r\n]*\r\n)*\2 [^\r\n]*\r\n$/;

export const target: FuzzTarget = {
  name: 'ftp',
  /** A step is a segment of the control connection. */
  *inputs(seed, count) {
    const rng = new Rng(seed, 'fuzz/ftp');
    const one = <T>(of: readonly T[]): T => of[rng.below(of.length)]!;
    const octets = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
    yield { ingress: 0, octets: octets('USER op\r\nPASS secret\r\n') };
    for (let i = 1; i < count; ) {
      const path = Array.from({ length: rng.below(8) }, () => (rng.below(40) === 0 ? 'n'.repeat(300) : one(PARTS)));
      const argument = rng.below(3) === 0 ? one(ARGUMENTS) : path.join('/');
      let line = `${one(VERBS)}${rng.below(5) === 0 ? '' : ` ${argument}`}${one(['\r\n', '\r\n', '\r\n', '\n'])}`;
      if (rng.below(10) === 0) {
        const at = rng.below(line.length);
        line = `${line.slice(0, at)}${one(ODD)}${line.slice(at)}`;
      }
      for (let from = 0; from < line.length && i < count; i++) {
        const length = rng.below(4) === 0 ? 1 + rng.below(line.length) : line.length;
        yield { ingress: 0, octets: octets(line.slice(from, from + length)) };
        from += length;
      }
    }
  },
  run(steps) {
    let world = new FakeFtpWorld();
    let checked = 0;
    let asked = 0;
    for (const { octets } of steps) {
      world.sendOctets(octets);
      for (; checked < world.replies.length; checked++)
        if (!REPLY.test(world.replies[checked]!))
          throw new InvariantError(`a reply without form: ${JSON.stringify(world.replies[checked])}`);
      for (; asked < world.performed.length; asked++) {
        const operation = world.performed[asked]!;
        for (const path of 'path' in operation
          ? [operation.path]
          : operation.do === 'rename'
            ? [operation.from, operation.to]
            : [])
          if (!/^\/(?:[^/\0]+(?:\/[^/\0]+)*)?$/.test(path) || /(?:^|\/)\.{1,2}(?:\/|$)|\/\.omni-upload\./.test(path))
            throw new InvariantError(`${operation.do} of ${JSON.stringify(path)}`);
      }
      if (!world.closed) continue;
      world = new FakeFtpWorld();
      world.sendOctets(Uint8Array.from('USER op\r\nPASS secret\r\n', (c) => c.charCodeAt(0)));
      checked = 0;
      asked = 0;
    }
    world.pass(seconds(1000));
    if (!world.closed) throw new InvariantError('an idle session did not end');
  },
};
