/** The contact plan as a node's services see it, from what the daemon tells about the node's links. */
import type { WallTime } from '../core/index.ts';
import type { NodeContacts } from '../testbed/apps.ts';
import type { Contact, ContactPlan, WallClock } from './service.ts';

export class ToldContacts implements ContactPlan {
  readonly #clock: WallClock;
  #told: NodeContacts;

  constructor(told: NodeContacts, clock: WallClock) {
    this.#told = told;
    this.#clock = clock;
  }

  tell(told: NodeContacts): void {
    this.#told = told;
  }

  get always(): boolean {
    return this.#told.links.every((link) => link.always);
  }

  next(from: WallTime, count: number): readonly Contact[] {
    // The node's clock may have been stepped since: its distance from the daemon's time is taken now.
    const now = this.#clock.now();
    const elapsed = process.hrtime.bigint() - BigInt(Math.round(this.#told.origin));
    const wall = (seconds: number) => (now - elapsed + BigInt(Math.round(seconds * 1e9))) as WallTime;
    return this.#told.links
      .flatMap(({ peer, contacts, bitPerSecondIn, bitPerSecondOut }) =>
        contacts.map(({ aosSeconds, losSeconds }): Contact => {
          const length = losSeconds - aosSeconds;
          return {
            peer,
            begin: wall(aosSeconds),
            end: wall(losSeconds),
            octetsIn: Math.floor((length * bitPerSecondIn) / 8),
            octetsOut: Math.floor((length * bitPerSecondOut) / 8),
          };
        }),
      )
      .filter(({ end }) => end > from)
      .sort((a, b) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : 0))
      .slice(0, count);
  }
}
