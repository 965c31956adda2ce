/** Delivery onward: by the mail exchangers of a local name server, by a smarthost that wants TLS and a login, and without any plan. */
import { createTransport } from 'nodemailer';
import { afterEach, describe, expect, it } from 'vitest';
import type { Connection, Dialed, PolicySettings } from '../../../src/apps/smtp/index.ts';
import { Rng, type WallTime } from '../../../src/core/index.ts';
import { type LocalRelay, localRelay, testCertificate } from '../../support/mail/local-relay.ts';
import { nameServer } from '../../support/mail/name-server.ts';
import { RelayNode } from '../../support/mail/relay-node.ts';
import { latin1 } from '../../support/mail/server-session.ts';
import { Simulation } from '../../support/mail/simulation.ts';

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
async function relay(options: Parameters<typeof localRelay>[0] = {}): Promise<LocalRelay> {
  const made = await localRelay(options);
  ends.push(() => made.close());
  return made;
}
const send = (to: LocalRelay, address: string) =>
  createTransport({ host: '127.0.0.1', port: to.port, ignoreTLS: true }).sendMail({
    from: 'me@relay.test',
    to: address,
    subject: 'onward',
    text: 'hello',
  });
const onward = (routes: PolicySettings['routes']): PolicySettings => ({
  domains: ['relay.test'],
  relayFor: ['127.0.0.0/8'],
  routes,
});

const mxRoute = (port: number): PolicySettings['routes'][number] => ({
  domain: '*',
  host: undefined,
  port,
  peers: undefined,
  tls: 'never',
});
const table = async (zones: Parameters<typeof nameServer>[0]) => ends.push(await nameServer(zones));

describe('delivery by MX (RFC 5321 section 5.1)', () => {
  it('takes the exchangers in their order, and the next when one is not there', async () => {
    const far = await relay({ name: 'far.test', policy: { domains: ['far.test'], relayFor: [], routes: [] } });
    await table({
      'far.test': {
        mx: [
          [20, 'localhost'],
          [10, 'not-there.invalid'],
        ],
      },
    });
    const near = await relay({ policy: onward([mxRoute(far.port)]) });
    await send(near, 'pi@far.test');
    await far.until(() => far.mailbox('pi').length === 1);
    expect(far.mailbox('pi')[0]).toContain('Subject: onward');
  });

  it('goes to the domain itself when it has no MX', async () => {
    const far = await relay({ name: 'far.test', policy: { domains: ['localhost'], relayFor: [], routes: [] } });
    await table({});
    const near = await relay({ policy: onward([mxRoute(far.port)]) });
    await send(near, 'pi@localhost');
    await far.until(() => far.mailbox('pi').length === 1);
  });

  it.each([
    ['a null MX (RFC 7505)', { mx: [[0, '.']] }, '556 5.1.10'],
    ['a domain that does not exist', undefined, '550 5.1.2'],
    ['neither MX nor address', {}, '550 5.1.2'],
    ['exchangers without address', { mx: [[10, 'not-there.invalid']] }, '550 5.4.4'],
  ] as const)('bounces at once: %s', async (_what, zone, reply) => {
    await table(zone === undefined ? {} : { 'none.test': zone });
    const near = await relay({ policy: onward([mxRoute(9)]) });
    await send(near, 'pi@none.test');
    await near.until(() => near.mailbox('me').length === 1);
    const [notice] = near.mailbox('me');
    const [code, status] = reply.split(' ');
    expect(notice).toMatch(
      new RegExp(
        `Final-Recipient: rfc822; pi@none\\.test\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; ${code} `,
      ),
    );
    await near.until(() => near.mail.relay.list().length === 0);
    expect(near.log.filter((line) => line.startsWith('event=failed'))).toHaveLength(1);
  });

  it.each([
    ['no answer about the domain', { 'none.test': { fails: true } }],
    ['no answer about its exchanger', { 'none.test': { mx: [[10, 'mx.none.test']] }, 'mx.none.test': { fails: true } }],
  ] as const)('keeps what may yet be delivered: %s', async (_what, zones) => {
    await table(zones);
    const near = await relay({ policy: onward([mxRoute(9)]) });
    await send(near, 'pi@none.test');
    await near.until(() => near.log.some((line) => line.startsWith('event=session-ended')));
    expect(near.mail.relay.list().map(({ recipients }) => recipients)).toEqual([['pi@none.test']]);
    expect(near.mailbox('me')).toEqual([]);
  });
});

describe('a smarthost', () => {
  const tls = testCertificate();
  it.skipIf(tls === undefined)(
    'gets all other mail over verified TLS, with a login; a wrong certificate gets nothing',
    async () => {
      const smarthost = await relay({
        name: 'smart.test',
        policy: { domains: ['world.test'], relayFor: [], routes: [] },
        tls: tls!,
        authenticate: async (user, password) => user === 'craft' && password === 'orbit',
      });
      const auth = { user: 'craft', password: 'orbit' };
      const route = {
        domain: '*',
        host: '127.0.0.1',
        port: smarthost.port,
        peers: undefined,
        tls: 'required' as const,
        auth,
      };
      const near = await relay({ policy: onward([{ ...route, certificateAuthorities: tls!.cert }]) });
      await send(near, 'pi@world.test');
      await smarthost.until(() => smarthost.mailbox('pi').length === 1);
      expect(smarthost.mailbox('pi')[0]).toContain('with ESMTPSA');
      const wary = await relay({ policy: onward([{ ...route, certificateAuthorities: testCertificate()!.cert }]) });
      await send(wary, 'chief@world.test');
      await wary.until(() => wary.log.some((line) => /event=session-ended .*certificate/.test(line)));
      expect(smarthost.mailbox('chief')).toEqual([]);
    },
  );
});

describe('a peer that is not back yet', () => {
  it('is tried again after a tenth of a second, then less often, each second at most', async () => {
    const { dials, begin, simulation } = await dialing({ length: 600, refusedAfterSeconds: 0.02 });
    await simulation.runUntil((begin + 5_500_000_000n) as WallTime);
    const pauses = dials.slice(1).map((at, i) => Number((at - dials[i]! - 0.02).toFixed(2)));
    expect(dials[0]).toBe(0);
    expect(pauses).toEqual([0.1, 0.2, 0.4, 0.8, 1, 1, 1]);
  });
});

describe('without a known contact', () => {
  it('probes every 20 seconds, and at once on a sign of life', async () => {
    const { dials, begin, simulation, node } = await dialing({ length: 0, refusedAfterSeconds: 1 });
    await simulation.runUntil((begin + 50_000_000_000n) as WallTime);
    expect(dials).toEqual([0, 21, 42]);
    node.relay.signOfLife('craft');
    await simulation.runUntil((begin + 52_000_000_000n) as WallTime);
    expect(dials).toEqual([0, 21, 42, 50]);
  });
});

/** A relay with one message for a peer that refuses each connection; when it dialed, in seconds. The one contact has begun, or is none. */
async function dialing({ length, refusedAfterSeconds }: { length: number; refusedAfterSeconds: number }) {
  const simulation = new Simulation(955_000_000_000_000_000n as WallTime);
  const dials: number[] = [];
  const begin = simulation.now;
  const contact = { peer: 'craft', begin, end: (begin + BigInt(length) * 1_000_000_000n) as WallTime };
  const node = new RelayNode({
    name: 'ground.test',
    address: '10.0.0.1',
    simulation,
    rng: new Rng(1, 'probing'),
    stepSeconds: 0,
    policy: {
      domains: ['ground.test'],
      relayFor: ['10.0.0.0/8'],
      routes: [{ domain: 'craft.test', host: '10.0.0.2', port: 25, peers: ['craft'], tls: 'never' }],
    },
    contacts: { always: false, next: (from) => (contact.end > from ? [contact] : []) },
    dial: (dialed: Dialed): Connection => {
      dials.push(Number(simulation.now - begin) / 1e9);
      simulation.after(refusedAfterSeconds, () => dialed.closed('connection refused'));
      return { write: async () => {}, startTls: async () => {}, end: () => {}, abort: () => {} };
    },
  });
  await node.start();
  const client = { address: '10.9.9.9', name: 'user', secure: false };
  const { transaction } = await node.relay.receiver.mail(client, { reversePath: 'a@ground.test' });
  transaction!.recipient('b@craft.test', {});
  await transaction!.write(latin1('Subject: x\r\n\r\nx\r\n'));
  expect(await transaction!.end()).toMatchObject({ code: 250 });
  return { simulation, dials, begin, node };
}
