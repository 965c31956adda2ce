/**
 * A link between two relays in virtual time: serial at a rate, delayed, and there only during contacts. A connection that has
 * octets on the way when the link goes is dead without a word, as TCP's would be for minutes; one whose peer process was killed
 * gets the reset if the link carries it.
 */
import type { Connection, Contact, ContactPlan, Dialed } from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';
import type { Simulation } from './simulation.ts';

export interface Acceptor {
  /** A connection came in; returns who gets its octets. */
  accept(send: (octets: Uint8Array) => void): { received(octets: Uint8Array): void; closed(): void };
  readonly alive: boolean;
}

/** Of 1,500 octets with the headers of IP and TCP, timestamps included, and around them the frame's. */
const SEGMENT_OCTETS = 1448;
const HEADER_OCTETS = 60;

export class SpaceLink {
  readonly #simulation: Simulation;
  readonly contacts: readonly Contact[];
  readonly #delaySeconds: number;
  #outageUntil = 0n as WallTime;
  readonly #open = new Set<Pipe>();

  constructor(simulation: Simulation, contacts: readonly Contact[], delaySeconds: number) {
    this.#simulation = simulation;
    this.contacts = contacts;
    this.#delaySeconds = delaySeconds;
  }

  /** The plan as one end sees it. */
  plan(peer: string, rateOut: number): ContactPlan {
    return {
      always: false,
      next: (from, count) =>
        this.contacts
          .filter((c) => c.end > from)
          .slice(0, count)
          .map((c) => ({ ...c, peer, octetsOut: (rateOut / 8) * (Number(c.end - c.begin) / 1e9) })),
    };
  }

  /** The link daemon was killed: nothing passes for a while, and what is under way is lost. */
  outage(seconds: number): void {
    this.#outageUntil = (this.#simulation.now + BigInt(Math.round(seconds * 1e9))) as WallTime;
    for (const pipe of this.#open) pipe.broken = true;
  }

  up(from: WallTime, to: WallTime = from): boolean {
    return from >= this.#outageUntil && this.contacts.some((c) => c.begin <= from && to <= c.end);
  }

  dial(direction: Direction, peer: () => Acceptor, dialed: Dialed, alive: () => boolean): Connection {
    const simulation = this.#simulation;
    const pipe: Pipe = { broken: false, closed: false };
    this.#open.add(pipe);
    const close = (reason: string) => {
      if (pipe.closed) return;
      pipe.closed = true;
      this.#open.delete(pipe);
      if (alive()) dialed.closed(reason);
    };
    let far: { received(octets: Uint8Array): void; closed(): void } | undefined;
    let farAcceptor: Acceptor | undefined;
    // One segment after the other, so that connections share a line fairly.
    const carry = async (line: Line, octets: Uint8Array, deliver: (o: Uint8Array) => void): Promise<void> => {
      for (let at = 0; at < octets.length && !pipe.closed; at += SEGMENT_OCTETS) {
        const segment = octets.slice(at, at + SEGMENT_OCTETS);
        // The kernel takes no more octets for a peer that acknowledges none.
        if (pipe.broken) return new Promise(() => {});
        const begin = line.busyUntil > simulation.now ? line.busyUntil : simulation.now;
        const end = (begin + BigInt(Math.round(((segment.length + HEADER_OCTETS) * 8e9) / line.rate))) as WallTime;
        line.busyUntil = end;
        simulation.at((end + BigInt(Math.round(this.#delaySeconds * 1e9))) as WallTime, () => {
          if (pipe.closed || pipe.broken) return;
          if (!this.up(begin, end)) pipe.broken = true;
          else deliver(segment);
        });
        await new Promise<void>((resolve) => simulation.at(end, resolve));
      }
    };
    // Replies that wait for the line travel together, as TCP would send them.
    let replies: Uint8Array[] = [];
    let replying = false;
    const reply = async (deliver: (o: Uint8Array) => void): Promise<void> => {
      if (replying) return;
      for (replying = true; replies.length > 0; ) {
        await lineFree(direction.back);
        const octets = Uint8Array.from(replies.flatMap((r) => [...r]));
        replies = [];
        await carry(direction.back, octets, deliver);
      }
      replying = false;
    };
    const lineFree = (line: Line) => new Promise<void>((resolve) => simulation.at(line.busyUntil, resolve));
    const attempt = (tries: number) => {
      if (pipe.closed) return;
      if (!this.up(simulation.now)) {
        if (tries > 6) simulation.after(0, () => close('no answer'));
        else simulation.after(0.5, () => attempt(tries + 1));
        return;
      }
      const acceptor = peer();
      simulation.after(2 * this.#delaySeconds, () => {
        if (pipe.closed) return;
        if (!acceptor.alive) return close('connection refused');
        farAcceptor = acceptor;
        if (alive()) dialed.connected();
        far = acceptor.accept((octets) => {
          if (!acceptor.alive) return;
          replies.push(octets);
          void reply((o) => alive() && dialed.received(o));
        });
      });
    };
    simulation.after(0, () => attempt(0));
    // The far process dies: its kernel resets the connection, if the link carries that.
    const watch = () => {
      if (pipe.closed) return;
      if (farAcceptor !== undefined && !farAcceptor.alive && this.up(simulation.now) && !pipe.broken)
        return close('reset by peer');
      simulation.after(1, watch);
    };
    simulation.after(1, watch);
    return {
      write: (octets) => carry(direction.forth, octets, (o) => farAcceptor?.alive && far?.received(o)),
      startTls: () => Promise.reject(new Error('no TLS here')),
      end: () => {
        if (this.up(simulation.now) && farAcceptor?.alive) far?.closed();
        close('closed');
      },
      abort: () => {
        if (this.up(simulation.now) && !pipe.broken && farAcceptor?.alive) far?.closed();
        close('aborted');
      },
    };
  }
}

interface Pipe {
  broken: boolean;
  closed: boolean;
}
export interface Line {
  rate: number;
  busyUntil: WallTime;
}
export interface Direction {
  readonly forth: Line;
  readonly back: Line;
}
