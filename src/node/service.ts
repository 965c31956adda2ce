/**
 * A service of a node (FTP, mail, NTP, …): started by the node's app process inside its namespace from the scenario's
 * settings for that node. A new one is a file in src/node/services/ and a line in src/node/services/index.ts.
 */
import type { WallTime } from '../core/index.ts';

/** What time a node believes it is. Every service of a node asks this one port; on a spacecraft it is a software clock. */
export interface WallClock {
  now(): WallTime;
}

/** When the node can be reached, as far as the contact plan says. Wall times are of the same clock. */
export interface Contact {
  readonly peer: string;
  readonly begin: WallTime;
  readonly end: WallTime;
  /** Octets of payload that fit toward and from this node; undefined when unknown. */
  readonly octetsIn?: number;
  readonly octetsOut?: number;
}
export interface ContactPlan {
  /** Contacts that end after `from`, in order of begin; at most `count`. Empty with `always: true` when the link is never down. */
  next(from: WallTime, count: number): readonly Contact[];
  readonly always: boolean;
}

export interface ServiceContext {
  readonly scenario: string;
  readonly node: string;
  /** The node's own settings for this service, validated by the scenario's schema. */
  readonly settings: unknown;
  /** For what must outlive the process (files, queues); kept until `omni down --purge`. */
  readonly stateDirectory: string;
  /** For sockets and pid files; gone with the testbed. */
  readonly runDirectory: string;
  readonly clock: WallClock;
  readonly contacts: ContactPlan;
  /** One line, key=value; the process writes it to the node's log. */
  log(line: string): void;
}

export interface Service {
  readonly name: string;
  /** For `omni status`. */
  status(): Record<string, unknown>;
  close(): Promise<void>;
}

export type StartService = (context: ServiceContext) => Promise<Service>;
