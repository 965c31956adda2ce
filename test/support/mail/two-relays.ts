/** A ground station's relay and a spacecraft's, with a slow link between them that is there in contacts; all in virtual time. */
import { type Contact, contactsWith, type Prediction, predictHop, wallPlus } from '../../../src/apps/smtp/index.ts';
import type { Rng, WallTime } from '../../../src/core/index.ts';
import { RelayNode } from './relay-node.ts';
import { latin1 } from './server-session.ts';
import { Simulation } from './simulation.ts';
import { type Line, SpaceLink } from './space-link.ts';

export const START = 955_000_000_000_000_000n as WallTime;
export const UP_BITS = 9600;
export const DOWN_BITS = 38400;
const DELAY_SECONDS = 0.01;

export interface LogEvent {
  readonly at: WallTime;
  readonly node: string;
  readonly line: string;
}

/** @param passes begin and end of each contact, in seconds after START. */
export function twoRelays(rng: Rng, passes: readonly (readonly [number, number])[]) {
  const simulation = new Simulation(START);
  const contacts: Contact[] = passes.map(([begin, end]) => ({
    peer: '',
    begin: wallPlus(START, begin),
    end: wallPlus(START, end),
  }));
  const link = new SpaceLink(simulation, contacts, DELAY_SECONDS);
  const up: Line = { rate: UP_BITS, busyUntil: START };
  const down: Line = { rate: DOWN_BITS, busyUntil: START };
  const events: LogEvent[] = [];
  const node = (
    side: 'ground' | 'craft',
    address: string,
    peer: { name: 'ground' | 'craft'; address: string; node: () => RelayNode },
    lines: { forth: Line; back: Line },
    bits: number,
  ): RelayNode =>
    new RelayNode({
      name: `${side}.example`,
      address,
      simulation,
      rng,
      stepSeconds: 0.002,
      policy: {
        domains: [`${side}.example`],
        relayFor: ['10.0.0.0/8'],
        routes: [
          { domain: `${peer.name}.example`, host: peer.address, port: 25, peers: [peer.name], tls: 'never' as const },
        ],
      },
      contacts: link.plan(peer.name, bits),
      dial: (dialed, alive) => link.dial(lines, peer.node, dialed, alive),
      onLog: (line, at) => events.push({ at, node: side, line }),
    });
  const toCraft = { name: 'craft', address: '10.0.0.2', node: () => craft } as const;
  const toGround = { name: 'ground', address: '10.0.0.1', node: () => ground } as const;
  const ground: RelayNode = node('ground', '10.0.0.1', toCraft, { forth: up, back: down }, UP_BITS);
  const craft: RelayNode = node('craft', '10.0.0.2', toGround, { forth: down, back: up }, DOWN_BITS);

  const linkOf = (from: RelayNode) =>
    from.alive ? from.relay.link(from === ground ? 'craft.example' : 'ground.example') : undefined;
  /** What the node's `omni mailq` would say. */
  const predictions = (from: RelayNode): Map<string, Prediction> => {
    const live = linkOf(from);
    if (live === undefined) return new Map();
    const [peer, bits] = from === ground ? ['craft', UP_BITS] : ['ground', DOWN_BITS];
    const coming = contactsWith(link.plan(peer, bits), [peer], simulation.now, 30);
    return predictHop(from.relay.queue, live, coming, simulation.now);
  };
  /** One message from a user of the node, `sender@` here to `box@` there. */
  const hand = async (from: RelayNode, text: string, priority = 0) => {
    const client = { address: '10.9.9.9', name: 'user', secure: false };
    const [here, there] = from === ground ? ['ground', 'craft'] : ['craft', 'ground'];
    const { transaction } = await from.relay.receiver.mail(client, { reversePath: `sender@${here}.example`, priority });
    transaction!.recipient(`box@${there}.example`, {});
    await transaction!.write(latin1(text));
    return { reply: await transaction!.end(), id: transaction!.id };
  };
  return { simulation, link, contacts, ground, craft, events, linkOf, predictions, hand };
}
