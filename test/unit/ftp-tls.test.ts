import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { BareClient, startTestServer, type TestServer } from '../support/ftp-server.ts';
import { runClient } from '../support/run-client.ts';

let served: TestServer;
afterEach(() => served.stop());

/** AUTH TLS on a fresh connection; gives the client and its TLS session for reuse. */
async function secured(port: number): Promise<{ client: BareClient; tls: TLSSocket }> {
  const client = await BareClient.connect(port);
  await client.reply();
  expect((await client.say('AUTH TLS')).code).toBe(234);
  const tls = await handshake(client.socket);
  client.replaceSocket(tls);
  return { client, tls };
}

function handshake(socket: Socket, session?: Buffer): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connectTls({
      socket,
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    tls.once('secureConnect', () => resolve(tls));
    tls.once('error', reject);
  });
}

async function logIn(client: BareClient): Promise<void> {
  await client.say('USER op');
  expect((await client.say('PASS secret')).code).toBe(230);
  await client.say('TYPE I');
}

describe('AUTH TLS', () => {
  test('protects control and data; the data connection resumes the session', async () => {
    served = await startTestServer({}, { tls: true });
    writeFileSync(join(served.root, 'a'), 'protected');
    const { client, tls } = await secured(served.port);
    const session = new Promise<Buffer>((resolve) => tls.once('session', resolve));
    await logIn(client);
    expect((await client.say('PROT P')).code).toBe(503);
    expect((await client.say('PBSZ 0')).code).toBe(200);
    expect((await client.say('PROT E')).code).toBe(536);
    expect((await client.say('PROT P')).code).toBe(200);
    const plain = await client.passive();
    expect((await client.say('RETR a')).code).toBe(150);
    const data = await handshake(plain, await session);
    expect(data.isSessionReused()).toBe(true);
    let got = '';
    for await (const chunk of data) got += chunk;
    expect(got).toBe('protected');
    expect((await client.reply()).code).toBe(226);
    client.close();
  });

  test('ABOR ends a protected download, and the session goes on', async () => {
    served = await startTestServer({}, { tls: true });
    writeFileSync(join(served.root, 'large'), Buffer.alloc(20_000_000));
    const { client } = await secured(served.port);
    await logIn(client);
    await client.say('PBSZ 0');
    await client.say('PROT P');
    const plain = await client.passive();
    expect((await client.say('RETR large')).code).toBe(150);
    const data = await handshake(plain);
    data.on('error', () => {});
    await new Promise((resolve) => data.once('data', resolve));
    data.pause();
    client.send('ABOR\r\n');
    expect([(await client.reply()).code, (await client.reply()).code]).toEqual([426, 226]);
    expect((await client.say('SIZE large')).code).toBe(213);
    data.destroy();
    client.close();
  });

  test('what was sent in clear before TLS is not obeyed after it', async () => {
    served = await startTestServer({}, { tls: true });
    const client = await BareClient.connect(served.port);
    await client.reply();
    client.send('USER op\r\nPASS secret\r\nAUTH TLS\r\nMKD injected\r\nNOOP\r\nPW');
    const codes = [(await client.reply()).code, (await client.reply()).code, (await client.reply()).code];
    expect(codes).toEqual([331, 230, 234]);
    client.replaceSocket(await handshake(client.socket));
    // Nothing but the answer to what is asked now; and the login in clear is void.
    expect((await client.say('NOOP')).code).toBe(200);
    expect((await client.say('PWD')).code).toBe(530);
    client.close();
  });

  test('required: no login and no data in clear', async () => {
    served = await startTestServer({}, { tls: 'required' });
    const bare = await BareClient.connect(served.port);
    await bare.reply();
    expect((await bare.say('USER op')).code).toBe(530);
    bare.close();
    const { client } = await secured(served.port);
    await logIn(client);
    expect((await client.say('PASV')).code).toBe(521);
    expect((await client.say('CCC')).code).toBe(534);
    await client.say('PBSZ 0');
    await client.say('PROT P');
    expect((await client.say('PASV')).code).toBe(227);
    client.close();
  });

  test('a data connection without its TLS fails and the session goes on', async () => {
    served = await startTestServer({}, { tls: true });
    writeFileSync(join(served.root, 'a'), 'x');
    const { client } = await secured(served.port);
    await logIn(client);
    await client.say('PBSZ 0');
    await client.say('PROT P');
    const data = await client.passive();
    await client.say('RETR a');
    data.write('this is no ClientHello, and long enough to be seen as none');
    expect((await client.reply()).code).toBe(425);
    expect((await client.say('NOOP')).code).toBe(200);
    client.close();
  });
});

test('without a certificate AUTH is refused and FEAT does not offer it', async () => {
  served = await startTestServer();
  const client = await BareClient.connect(served.port);
  await client.reply();
  expect((await client.say('AUTH TLS')).code).toBe(502);
  expect((await client.say('FEAT')).text).not.toContain('TLS');
  client.close();
});

test('curl: explicit, implicit, and CCC', async () => {
  served = await startTestServer({}, { tls: true });
  writeFileSync(join(served.root, 'a'), 'by curl');
  const curl = (...options: string[]) => runClient('curl', ['-sS', '-k', '-u', 'op:secret', ...options], served.root);
  expect(await curl('--ssl-reqd', `ftp://127.0.0.1:${served.port}/a`)).toBe('by curl');
  expect(await curl(`ftps://127.0.0.1:${served.implicitPort}/a`)).toBe('by curl');
  for (const mode of ['passive', 'active'])
    expect(
      await curl('--ssl-reqd', '--ftp-ssl-ccc', '--ftp-ssl-ccc-mode', mode, `ftp://127.0.0.1:${served.port}/a`),
    ).toBe('by curl');
});
