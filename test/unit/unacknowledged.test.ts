import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { unacknowledgedOctets } from '../../src/io/unacknowledged.ts';

test.each(['127.0.0.1', '::1'])(
  'what a peer that does not read has not acknowledged; nothing once it has read (%s)',
  async (host) => {
    const accepted: Socket[] = [];
    const server = createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket));
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const client = connect((server.address() as { port: number }).port, host);
    await new Promise((resolve) => client.once('connect', resolve));
    expect(unacknowledgedOctets(client)).toBe(0);
    client.write(Buffer.alloc(40_000_000));
    while (unacknowledgedOctets(client) === 0) await new Promise((resolve) => setImmediate(resolve));
    while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    accepted[0]!.resume();
    while (accepted[0]!.bytesRead < 40_000_000) await new Promise((resolve) => setImmediate(resolve));
    while (unacknowledgedOctets(client) > 0) await new Promise((resolve) => setImmediate(resolve));
    client.destroy();
    expect(unacknowledgedOctets(client)).toBe(0);
    server.close();
  },
);
