/** Outgoing connections over loopback: an abort throws away what the peer has not taken, and what it has not is known, also below TLS. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { Connection, Dialed, Route } from '../../../src/apps/smtp/index.ts';
import { dialer } from '../../../src/io/smtp-dialer.ts';
import { SocketKernel } from '../../../src/io/socket-kernel.ts';
import { testCertificate } from '../../support/mail/local-relay.ts';

const OCTETS = 3_000_000;
const servers: { server: Server; sockets: Socket[] }[] = [];
afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** A peer that reads nothing. */
async function deafPeer(): Promise<{ port: number; accepted: Promise<Socket> }> {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true });
  servers.push({ server, sockets });
  const accepted = new Promise<Socket>((resolve) =>
    server.on('connection', (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      resolve(socket);
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, accepted };
}

const routeTo = (port: number, tls: Route['tls'] = 'never'): Route => ({
  domain: 'peer.test',
  host: '127.0.0.1',
  port,
  peers: undefined,
  tls,
});

async function connected(kernel: SocketKernel, port: number): Promise<Connection> {
  let connection: Connection | undefined;
  await new Promise<void>((resolve, reject) => {
    const dialed: Dialed = {
      connected: resolve,
      received: () => {},
      closed: reject,
      unroutable: reject,
    };
    connection = dialer(kernel)(routeTo(port), 'peer.test', dialed, 0);
  });
  return connection!;
}

/** Sockets that this network namespace still has toward a port, by /proc/net/tcp: state 01 is ESTABLISHED, 04 FIN_WAIT1. */
const toward = (port: number) =>
  readFileSync('/proc/self/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , peer]) => peer?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, '0')}`))
    .map(([, , , state]) => state);

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe.each([
  ['with the addon', () => SocketKernel.load()],
  ['without it', async () => new SocketKernel(undefined)],
])('an outgoing connection, %s', (_, load) => {
  it('knows what the peer’s kernel has not taken', async () => {
    const { port, accepted } = await deafPeer();
    const connection = await connected(await load(), port);
    expect(connection.unacknowledged!()).toBe(0);
    void connection.write(new Uint8Array(OCTETS)).catch(() => {});
    await accepted;
    // The peer's kernel takes some and then none.
    expect(connection.unacknowledged!()).toBeGreaterThan(0);
    expect(connection.unacknowledged!()).toBeLessThanOrEqual(OCTETS);
    connection.abort();
    expect(connection.unacknowledged!()).toBeUndefined();
  });

  it('leaves nothing in the kernel when it is aborted, and the peer learns of it', async () => {
    const { port, accepted } = await deafPeer();
    const connection = await connected(await load(), port);
    void connection.write(new Uint8Array(OCTETS)).catch(() => {});
    const socket = await accepted;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    connection.abort();
    await until(() => toward(port).length === 0);
    socket.resume();
    await closed;
  });
});

const certificate = testCertificate();
describe.skipIf(certificate === undefined)('an outgoing connection over TLS', () => {
  it('knows what the peer’s kernel has not taken, below TLS', async () => {
    const sockets: Socket[] = [];
    const server = createTlsServer({ ...certificate!, pauseOnConnect: false });
    servers.push({ server, sockets });
    const secured = new Promise<TLSSocket>((resolve) =>
      server.on('secureConnection', (socket) => {
        sockets.push(socket);
        socket.on('error', () => {});
        socket.pause();
        resolve(socket);
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const connection = await connected(await SocketKernel.load(), (server.address() as AddressInfo).port);
    await connection.startTls();
    await secured;
    void connection.write(new Uint8Array(2 * OCTETS)).catch(() => {});
    await until(() => connection.unacknowledged!()! > 0);
    connection.abort();
  });
});
