/** Message data leaves at the pace of the contact plan, so that no more than a moment's worth of it waits in the queues on the way. */
import { describe, expect, it } from 'vitest';
import type { Connection, Dialed } from '../../../src/apps/smtp/index.ts';
import { Rng, type WallTime } from '../../../src/core/index.ts';
import { RelayNode } from '../../support/mail/relay-node.ts';
import { latin1 } from '../../support/mail/server-session.ts';
import { Simulation } from '../../support/mail/simulation.ts';

const RATE = 1200;
const OCTETS = 100_000;
const WITHIN_SECONDS = 600;

/** A relay, a peer, and between them a kernel that takes all it is given at once. */
async function sending(planned: boolean) {
  const simulation = new Simulation(955_000_000_000_000_000n as WallTime);
  const begin = simulation.now;
  const end = (begin + BigInt(WITHIN_SECONDS) * 1_000_000_000n) as WallTime;
  const contact = { peer: 'craft', begin, end, ...(planned ? { octetsOut: RATE * WITHIN_SECONDS } : {}) };
  const handed: { seconds: number; octets: number }[] = [];
  const common = { simulation, rng: new Rng(1, 'pace'), stepSeconds: 0, contacts: { always: false, next: () => [] } };
  const craft = new RelayNode({
    ...common,
    name: 'craft.test',
    address: '10.0.0.2',
    policy: { domains: ['craft.test'], relayFor: ['10.0.0.0/8'], routes: [] },
    dial: () => {
      throw new Error('the craft sends nothing');
    },
  });
  const ground = new RelayNode({
    ...common,
    name: 'ground.test',
    address: '10.0.0.1',
    policy: {
      domains: ['ground.test'],
      relayFor: ['10.0.0.0/8'],
      routes: [{ domain: 'craft.test', host: '10.0.0.2', port: 25, peers: ['craft'], tls: 'never' }],
    },
    contacts: { always: false, next: (from) => (end > from ? [contact] : []) },
    dial: (dialed: Dialed): Connection => {
      let far: ReturnType<RelayNode['accept']> | undefined;
      simulation.after(0.01, () => {
        dialed.connected();
        far = craft.accept((octets) => simulation.after(0.01, () => dialed.received(octets)));
      });
      return {
        write: async (octets) => {
          handed.push({ seconds: Number(simulation.now - begin) / 1e9, octets: octets.length });
          simulation.after(0.01, () => far?.received(octets));
        },
        startTls: async () => {},
        end: () => {},
        abort: () => {},
      };
    },
  });
  await craft.start();
  await ground.start();
  const client = { address: '10.9.9.9', name: 'user', secure: false };
  const { transaction } = await ground.relay.receiver.mail(client, { reversePath: 'a@ground.test' });
  transaction!.recipient('b@craft.test', {});
  await transaction!.write(latin1(`Subject: x\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(OCTETS / 80)}`));
  expect(await transaction!.end()).toMatchObject({ code: 250 });
  await simulation.runUntil(end);
  expect(craft.mailbox.size).toBe(1);
  // Without the QUIT that ends the idle session.
  return handed.slice(0, -1);
}

describe('message data', () => {
  it('leaves no faster than the plan’s rate, and hardly slower', async () => {
    const handed = await sending(true);
    let octets = 0;
    for (const part of handed) {
      octets += part.octets;
      // Two packets and the envelope may be ahead.
      expect(octets).toBeLessThan(RATE * part.seconds + 2 * 1448 + 1448 + 300);
      expect(part.octets).toBeLessThan(1448 + 300);
    }
    const took = handed.at(-1)!.seconds;
    expect(octets / took).toBeGreaterThan(0.85 * RATE);
  });

  it('leaves at once when no rate is known', async () => {
    const handed = await sending(false);
    expect(handed.at(-1)!.seconds).toBeLessThan(1);
  });

  it('begins no session that would have no time left', async () => {
    const simulation = new Simulation(955_000_000_000_000_000n as WallTime);
    const at = (seconds: number) => (simulation.now + BigInt(seconds * 1e9)) as WallTime;
    const [end, begin] = [at(10), at(20)];
    const contacts = [
      { peer: 'craft', begin: simulation.now, end, octetsOut: 10 * RATE },
      { peer: 'craft', begin, end: at(30), octetsOut: 10 * RATE },
    ];
    const dialed: WallTime[] = [];
    const ground = new RelayNode({
      simulation,
      rng: new Rng(1, 'pace'),
      stepSeconds: 0,
      name: 'ground.test',
      address: '10.0.0.1',
      policy: {
        domains: ['ground.test'],
        relayFor: ['10.0.0.0/8'],
        routes: [{ domain: 'craft.test', host: '10.0.0.2', port: 25, peers: ['craft'], tls: 'never' }],
      },
      contacts: { always: false, next: (from) => contacts.filter((c) => c.end > from) },
      dial: (): Connection => {
        dialed.push(simulation.now);
        return { write: async () => {}, startTls: async () => {}, end: () => {}, abort: () => {} };
      },
    });
    await ground.start();
    await simulation.runUntil(at(9.7));
    const { transaction } = await ground.relay.receiver.mail(
      { address: '10.9.9.9', name: 'user', secure: false },
      { reversePath: 'a@ground.test' },
    );
    transaction!.recipient('b@craft.test', {});
    await transaction!.write(latin1('Subject: late\r\n\r\nx\r\n'));
    expect(await transaction!.end()).toMatchObject({ code: 250 });
    await simulation.runUntil((begin + 1_000_000_000n) as WallTime);
    expect(dialed).toEqual([begin]);
  });
});
