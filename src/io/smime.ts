/**
 * S/MIME signatures (RFC 8551, CMS of RFC 5652), checked and made by the stock `openssl cms` as a child process: the one thing
 * here that must not be written again. Allowed signers are pinned: their certificates are the only ones a signature is checked
 * against (`-nointern -noverify -certfile`), whatever certificates the message brings along, so no authority can add a signer.
 *
 * The time of signing is read from openssl's printed form. A stranger may put anything into certificates and unsigned attributes,
 * so only the one SignerInfo and its signed attributes count, and a message that could be read in two ways is refused.
 */
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OmniError } from '../core/index.ts';

export type SmimeRefusal = 'wrong-signature' | 'unknown-signer' | 'weak-signature' | 'malformed';
export type SmimeResult =
  | {
      readonly ok: true;
      /** The certificate of `allowed` whose key signed. */
      readonly certificate: X509Certificate;
      /** Unix time, milliseconds. */
      readonly signedMilliseconds: number;
      /** What was signed: a MIME entity with its header fields. */
      readonly entity: Uint8Array;
      /** Of signer, time and content: the same for each copy of one signature. */
      readonly digest: string;
    }
  | { readonly ok: false; readonly reason: SmimeRefusal };

/** Of every certificate in a PEM file. Throws OmniError when there is none. */
export function readCertificates(pem: string, file: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length === 0) throw new Error('there is no certificate in it');
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new OmniError('OMNI_CERTIFICATE', `${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Throws OmniError when openssl cannot be run. */
export async function requireOpenssl(): Promise<void> {
  if ((await openssl(['version'])).code !== 0)
    throw new OmniError('OMNI_OPENSSL', 'S/MIME signatures need the openssl program', {
      remedy: 'apt install openssl',
    });
}

/** @param message with its header section, as it arrived. */
export async function verifySmime(message: Uint8Array, allowed: readonly X509Certificate[]): Promise<SmimeResult> {
  const refuse = (reason: SmimeRefusal): SmimeResult => ({ ok: false, reason });
  return inFolder(async (folder) => {
    const file = (name: string) => join(folder, name);
    await writeFile(file('message'), message);
    await writeFile(file('allowed'), allowed.map((c) => c.toString()).join(''));
    const printed = await openssl(['cms', '-cmsout', '-print', '-in', file('message')]);
    const signer = printed.code === 0 ? signerOf(printed.output) : undefined;
    if (signer === undefined) return refuse('malformed');
    const pinned = ['-nointern', '-noverify', '-certfile', file('allowed')];
    const out = ['-signer', file('signer'), '-out', file('entity')];
    const checked = await openssl(['cms', '-verify', '-in', file('message'), ...pinned, ...out]);
    if (checked.code !== 0)
      return refuse(/signer certificate not found/i.test(checked.errors) ? 'unknown-signer' : 'wrong-signature');
    if (!STRONG.has(signer.digestAlgorithm)) return refuse('weak-signature');
    const [certificate, ...others] = readCertificates(await readFile(file('signer'), 'latin1'), 'signer');
    if (certificate === undefined || others.length > 0) return refuse('malformed');
    const entity = await readFile(file('entity'));
    const hash = createHash('sha256').update(`${certificate.fingerprint256} ${signer.signedMilliseconds}\n`);
    const { signedMilliseconds } = signer;
    return { ok: true, certificate, signedMilliseconds, entity, digest: hash.update(entity).digest('hex') };
  });
}

/**
 * A multipart/signed message body with its MIME header fields, CRLF lines.
 * @param entity a MIME entity, CRLF lines.
 */
export async function signSmime(entity: string, certificateFile: string, keyFile: string): Promise<string> {
  return inFolder(async (folder) => {
    const input = join(folder, 'entity');
    await writeFile(input, entity);
    const signed = await openssl([
      'cms',
      '-sign',
      '-md',
      'sha256',
      '-signer',
      certificateFile,
      '-inkey',
      keyFile,
      '-in',
      input,
    ]);
    if (signed.code !== 0)
      throw new OmniError('OMNI_SMIME_SIGN', `openssl cms -sign: ${signed.errors.trim().split('\n')[0]}`);
    return signed.output.replace(/\r?\n/g, '\r\n');
  });
}

/** MD5 and SHA-1 can be forged. */
const STRONG = new Set(['sha256', 'sha384', 'sha512']);

/** From the printed form: the only signer's digest and time; undefined when there are several, or it could be read in two ways. */
function signerOf(text: string): { digestAlgorithm: string; signedMilliseconds: number } | undefined {
  const lines = text.split('\n');
  const begin = lines.indexOf(SIGNERS);
  // A certificate's comment could hold such a line; then there are two.
  if (begin < 0 || lines.lastIndexOf(SIGNERS) !== begin) return undefined;
  const info = lines.slice(begin + 1);
  if (info.filter((line) => /^ {8}version: /.test(line)).length !== 1) return undefined;
  const first = info.indexOf('        signedAttrs:');
  const last = info.findIndex((line) => line.startsWith('        signatureAlgorithm:'));
  const digest = info.findIndex((line) => line.startsWith('        digestAlgorithm:'));
  if (first < 0 || last < first || digest < 0 || digest > first) return undefined;
  const algorithm = /^ +algorithm: (\S+)/.exec(info[digest + 1] ?? '')?.[1];
  const attributes = info.slice(first, last);
  const at = attributes.findIndex((line) => /^ {12}object: signingTime \(1\.2\.840\.113549\.1\.9\.5\)$/.test(line));
  const time = at < 0 ? undefined : /^ +(?:UTCTIME|GENERALIZEDTIME):(.+ GMT)$/.exec(attributes[at + 2] ?? '')?.[1];
  const signedMilliseconds = Date.parse(time ?? '');
  if (algorithm === undefined || Number.isNaN(signedMilliseconds)) return undefined;
  return { digestAlgorithm: algorithm, signedMilliseconds };
}
const SIGNERS = '    signerInfos:';

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'omni-smime-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const LARGEST_OUTPUT_OCTETS = 64 * 1024 * 1024;
const PATIENCE_MS = 30_000;

function openssl(words: readonly string[]): Promise<{ code: number; output: string; errors: string }> {
  return new Promise((resolve) => {
    const child = spawn('openssl', words, { stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS });
    const output: Buffer[] = [];
    let octets = 0;
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      octets += chunk.length;
      if (octets > LARGEST_OUTPUT_OCTETS) child.kill();
      else output.push(chunk);
    });
    child.stderr.on('data', (chunk) => {
      if (errors.length < 4096) errors += chunk;
    });
    child.once('error', (error) => resolve({ code: -1, output: '', errors: error.message }));
    child.once('close', (code) =>
      resolve({ code: code ?? -1, output: Buffer.concat(output).toString('latin1'), errors }),
    );
  });
}
