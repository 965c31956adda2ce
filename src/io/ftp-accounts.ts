/**
 * Who may log in to the FTP server and what they see. Passwords are given in clear or as `scrypt:N:SALT:HASH` (base64; RFC 7914);
 * both are compared in constant time, and a wrong name costs as much time as a wrong password.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { isAbsolute, join, normalize } from 'node:path';
import { type Account, type FtpSettings, fromUnicode, LoginLimit } from '../apps/ftp/index.ts';
import { fail, type Instant, OmniError, ok, type Result } from '../core/index.ts';
import { FtpTree } from './ftp-files.ts';
import { FtpUploads } from './ftp-upload.ts';

export type FtpUser = FtpSettings['users'][number];

const SCRYPT_COST = 16_384;
const SCRYPT_OCTETS = 32;

export class FtpAccounts {
  readonly #root: string;
  readonly #users: ReadonlyMap<string, FtpUser>;
  readonly #limit = new LoginLimit();
  readonly #uploads = new FtpUploads();

  constructor(root: string, users: readonly FtpUser[]) {
    this.#root = root;
    for (const { name, folder } of users)
      if (folder !== undefined && (isAbsolute(folder) || normalize(folder).startsWith('..')))
        throw new OmniError('OMNI_FTP_USER', `the folder of user ${name} must be below the root: ${folder}`);
    this.#users = new Map(users.map((user) => [fromUnicode(user.name), user]));
  }

  isBlocked(address: string, now: Instant): boolean {
    return this.#limit.isBlocked(address, now);
  }

  /** Names and passwords are octet text, as they came. */
  async logIn(
    name: string,
    password: string,
    address: string,
    now: Instant,
  ): Promise<Result<Account, 'refused' | 'too-many'>> {
    if (this.#limit.isBlocked(address, now)) return fail('too-many');
    const user = this.#users.get(name);
    const right = await passwordMatches(password, user?.password ?? NOBODY);
    if (user !== undefined && right) {
      this.#limit.succeeded(address);
      return ok({ user: name, anonymous: false, writable: !user.readOnly });
    }
    this.#limit.failed(address, now);
    return fail('refused');
  }

  tree(name: string, address: string): Promise<FtpTree> {
    const user = this.#users.get(name);
    // All anonymous clients have one name, so the address tells a returning one from another.
    const owner = user === undefined ? `${name}@${address}` : name;
    return FtpTree.open({
      root: user?.folder === undefined ? this.#root : join(this.#root, user.folder),
      name,
      user: owner,
      uploads: this.#uploads,
      quotaOctets: user?.quotaOctets,
      quotaFiles: user?.quotaFiles,
    });
  }
}

const NOBODY = `scrypt:${SCRYPT_COST}:${Buffer.alloc(16).toString('base64')}:${Buffer.alloc(SCRYPT_OCTETS).toString('base64')}`;

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(Buffer.from(password), salt, SCRYPT_COST);
  return `scrypt:${SCRYPT_COST}:${salt.toString('base64')}:${hash.toString('base64')}`;
}

export async function passwordMatches(given: string, stored: string): Promise<boolean> {
  const octets = Buffer.from(given, 'latin1');
  const match = /^scrypt:(\d{1,7}):([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(stored);
  const salt = Buffer.from(match?.[2] ?? '', 'base64');
  const cost = match === null ? 2 : Number(match[1]);
  // A password in clear goes through the same function, so that lengths do not show.
  const expected = match === null ? await derive(Buffer.from(stored), salt, cost) : Buffer.from(match[3]!, 'base64');
  const actual = await derive(octets, salt, cost);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

const derive = (password: Buffer, salt: Buffer, cost: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password, salt, SCRYPT_OCTETS, { N: cost, r: 8, p: 1 }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
