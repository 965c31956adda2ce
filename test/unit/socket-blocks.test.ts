import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { SocketBlocks } from '../../src/io/socket-blocks.ts';
import { makeCertificate } from '../support/ftp-server.ts';

const OCTETS = 9_000_000;
const content = Uint8Array.from({ length: OCTETS }, (_, i) => (i * 7 + (i >>> 9) * 13) & 255);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Two ends of a connection over loopback; the first is the accepted one, which is not read yet. */
async function pair(tls: boolean): Promise<[Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  const here = await accepted;
  server.close();
  if (!tls) return [here, client];
  const folder = mkdtempSync(join(tmpdir(), `omni-blocks-${process.pid}-`));
  const [certificate, key] = [join(folder, 'c'), join(folder, 'k')];
  makeCertificate(certificate, key);
  const secureContext = createSecureContext({ cert: readFileSync(certificate), key: readFileSync(key) });
  rmSync(folder, { recursive: true });
  const secure = new TLSSocket(here, { isServer: true, secureContext } as never);
  const sender = connectTls({ socket: client, rejectUnauthorized: false });
  await new Promise((resolve) => secure.once('secure', resolve));
  return [secure, sender];
}

describe.each([
  ['plain', false],
  ['TLS', true],
])('%s', (_, tls) => {
  test('all octets in order, whatever the reader does between; what waits is bounded', async () => {
    const [here, there] = await pair(tls);
    let ended = false;
    here.once('end', () => {
      ended = true;
    });
    const blocks = new SocketBlocks(here, () => {});
    for (let at = 0, piece = 1; at < OCTETS; at += piece, piece = (piece * 5 + 3) % 90_001)
      there.write(content.subarray(at, at + piece));
    there.end();
    const hash = createHash('sha256');
    let most = 0;
    let octets = 0;
    let batches = 0;
    while (!ended || blocks.waiting > 0) {
      most = Math.max(most, blocks.waiting);
      const told = blocks.waiting;
      const chunks = blocks.take();
      // While the batch is being used, more arrives, and must not touch it.
      for (let turns = (batches++ * 5) % 40; turns > 0; turns--) await turn();
      let length = 0;
      for (const chunk of chunks) {
        hash.update(chunk);
        length += chunk.length;
      }
      expect(length).toBe(told);
      octets += length;
      blocks.release();
      await turn();
    }
    expect(octets).toBe(OCTETS);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
    // The limit, and one read into a block.
    expect(most).toBeLessThan(2_200_000);
    there.destroy();
    here.destroy();
  });

  test('blocks are really used: few buffers, however much comes', async () => {
    const [here, there] = await pair(tls);
    let wake = () => {};
    const blocks = new SocketBlocks(here, () => wake());
    there.end(content);
    const buffers = new Set<ArrayBufferLike>();
    for (let octets = 0; octets < OCTETS; ) {
      if (blocks.waiting === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      for (const chunk of blocks.take()) {
        octets += chunk.length;
        if (chunk.length > 100) buffers.add(chunk.buffer);
      }
      blocks.release();
    }
    expect(buffers.size).toBeLessThan(16);
    there.destroy();
    here.destroy();
  });
});
