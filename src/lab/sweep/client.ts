/** Runs the stock client of a workload (curl) inside a node's namespace. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { Rng } from '../../core/index.ts';

export interface ClientEnd {
  /** What it said when it failed. */
  readonly problem: string | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
}

const CURL_TIMED_OUT = 28;

export function runCurl(
  namespace: string,
  args: readonly string[],
  limitSeconds: number,
  signal: AbortSignal,
): Promise<ClientEnd> {
  const command = ['netns', 'exec', namespace, 'curl', '--silent', '--show-error', '--no-buffer', '--disable'];
  const child = spawn('ip', [...command, '--max-time', String(limitSeconds), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
  });
  const kill = () => void child.kill('SIGTERM');
  signal.addEventListener('abort', kill, { once: true });
  let stdout = '';
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout = (stdout + chunk.toString()).slice(-65_536);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  return new Promise<ClientEnd>((resolve) => {
    child.once('error', ({ message }) => resolve({ problem: message, timedOut: false, stdout }));
    child.once('close', (code, by) => {
      const problem = code === 0 ? undefined : `curl: ${said.trim() || `ended with ${by ?? code}`}`;
      resolve({ problem, timedOut: code === CURL_TIMED_OUT, stdout });
    });
  }).finally(() => signal.removeEventListener('abort', kill));
}

/** Octets of chance, the same for the same seed: they compress no better than an image, and meet as many stuffed bits. */
export function writePayload(file: string, octets: number, seed: string): void {
  const data = new Uint8Array(octets);
  new Rng(seed, 'payload').fill(data);
  writeFileSync(file, data, { mode: 0o644 });
}

export async function digestOf(file: string): Promise<string | undefined> {
  try {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    return hash.digest('hex');
  } catch {
    return undefined;
  }
}

/** A message of so many octets in all, its body base64 of chance. */
export function messageText(octets: number, seed: string, from: string, to: string): string {
  const head = `From: sweep@${from}\r\nTo: box@${to}\r\nSubject: sweep\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
  const data = new Uint8Array(Math.ceil((octets * 3) / 4) + 3);
  new Rng(seed, 'message').fill(data);
  const lines =
    Buffer.from(data)
      .toString('base64')
      .match(/.{1,76}/g) ?? [];
  return `${(head + lines.join('\r\n')).slice(0, Math.max(head.length, octets - 2))}\r\n`;
}
