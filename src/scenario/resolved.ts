/**
 * A scenario with every default filled in and every number in base units: bit/s, nanoseconds, octets. Plain JSON, because it
 * travels to the daemon and the app processes in a file. Lists are in the order of the scenario file.
 */
import type { ClockSettings, CorrectionMode } from '../apps/ntp/config.ts';
import type { LineCode } from '../channel/index.ts';
import type { Duration } from '../core/index.ts';
import type { PresetName } from './presets.ts';
import type { ScenarioNode } from './schema.ts';
import type { ServiceName } from './service-settings.ts';
import type { QueueLimit } from './units.ts';

export interface ResolvedScenario {
  readonly name: string;
  readonly description: string;
  readonly seed: number | string;
  /** UTC of the scenario's time zero, milliseconds since 1970; when it was loaded unless the file says. */
  readonly epochMilliseconds: number;
  /** TUN devices hand over TCP segments of up to 64 KiB (IFF_VNET_HDR). */
  readonly offloads: boolean;
  readonly nodes: readonly ResolvedNode[];
  readonly links: readonly ResolvedLink[];
  readonly networks: readonly ResolvedNetwork[];
}

export interface ResolvedNode {
  readonly name: string;
  readonly kind: ScenarioNode['kind'];
  /** The network namespace: `<scenario>-<node>`. */
  readonly namespace: string;
  /** What its name resolves to: the address on space links, else the first on a network. */
  readonly addresses: readonly string[];
  /** Present when the node has a space link. */
  readonly tun?: ResolvedTun;
  readonly interfaces: readonly ResolvedInterface[];
  readonly kernelRoutes: readonly KernelRoute[];
  /** Words of `ip route` that every route of the node has. */
  readonly routeAttributes: readonly string[];
  /** Those that the scenario gives beside the computed ones. */
  readonly explicitRoutes: readonly { readonly to: string; readonly via: string; readonly preference: number }[];
  /** Of the user-space router between TUN and links; what they do not name is unreachable. */
  readonly routes: readonly RouterRoute[];
  readonly classes?: readonly ResolvedTrafficClass[];
  /** Whether its kernel forwards. */
  readonly forwards: boolean;
  /** A mobile node: its address is routed to its home agent, by routes of the scenario, and not to where it is. */
  readonly roams?: true;
  /** Written in this order. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Without it the node has the host's time. */
  readonly clock?: ClockSettings;
  readonly services: Readonly<Partial<Record<ServiceName, unknown>>>;
}

export interface ResolvedTun {
  readonly name: string;
  /** The largest MTU of the node's links; smaller links answer with "fragmentation needed". */
  readonly mtuOctets: number;
  /** With prefix length: `10.12.0.1/32`. */
  readonly addresses: readonly string[];
}

export interface ResolvedInterface {
  readonly name: string;
  readonly network: string;
  readonly mtuOctets: number;
  /** With prefix length: `192.168.12.1/24`. */
  readonly addresses: readonly string[];
}

/** A route of the node's kernel, as `ip route` takes it. */
export interface KernelRoute {
  readonly prefix: string;
  readonly device: string;
  readonly via?: string;
  /** `mtu`, `advmss`, `rto_min`, `initcwnd` and so on, as words of `ip route`. */
  readonly attributes: readonly string[];
}

export interface RouterRoute {
  readonly prefix: string;
  /** Out of this link; without it, to the node's own kernel. */
  readonly link?: string;
  /** Lower is better among routes to one prefix whose links are up. */
  readonly preference: number;
}

export interface ResolvedNetwork {
  readonly name: string;
  /** `veth` joins two nodes; a `bridge` more, in a namespace of its own. */
  readonly kind: 'veth' | 'bridge';
  readonly nodes: readonly string[];
  readonly prefixes: readonly string[];
  readonly mtuOctets: number;
  readonly cost: number;
  /** Of a bridge. */
  readonly namespace?: string;
}

export interface ResolvedLink {
  readonly name: string;
  readonly preset?: PresetName;
  /** `up` is from → to, `down` is to → from. */
  readonly from: string;
  readonly to: string;
  readonly encapsulation: { readonly kind: 'frame-relay' | 'cisco-hdlc' | 'ppp'; readonly dlci?: number };
  readonly fcs: 16 | 32;
  readonly mtuOctets: number;
  readonly flags: 'shared' | 'separate';
  /** Applied by the sender in this order. */
  readonly lineCoding: readonly LineCode[];
  readonly up: ResolvedDirection;
  readonly down: ResolvedDirection;
  readonly los: ResolvedLos;
  readonly ntpCorrection: CorrectionMode;
  readonly cost: number;
}

export interface ResolvedDirection {
  /** The values at time zero; `timeLines` say how they go on. */
  readonly rateBitPerSecond: number;
  readonly delay: Duration;
  readonly jitter: Duration;
  readonly noise: ResolvedNoise;
  readonly timeLines: readonly ResolvedTimeLine[];
  /** The delay follows the slant range that `contacts` computes, or the ranges of its plan; `delay` holds where there is none. */
  readonly delayFollowsSlantRange: boolean;
  readonly queueLimit: ResolvedQueueLimit;
  readonly contacts: ResolvedContacts;
}

export interface ResolvedTimeLine {
  /** The unit of `value` is that of the direction's own key: bit/s, nanoseconds, a probability. */
  readonly key: 'rate' | 'delay' | 'jitter' | 'ber';
  readonly steps: readonly { readonly at: Duration; readonly value: number }[];
  readonly cycle?: Duration;
}

export type ResolvedNoise =
  | { readonly kind: 'independent'; readonly ber: number }
  | {
      readonly kind: 'burst';
      readonly goodBits: number;
      readonly badBits: number;
      readonly goodBer: number;
      readonly badBer: number;
    }
  /** An absolute path; one bit position a line. */
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'elevation'; readonly table: readonly { readonly degrees: number; readonly ber: number }[] }
  | { readonly kind: 'link-budget'; readonly ebN0ZenithDecibels: number; readonly codingGainDecibels: number };

/** In packets or in octets. `derived` tells by which rule when the scenario does not say. */
export interface ResolvedQueueLimit extends QueueLimit {
  readonly derived?: string;
}

export type ResolvedContacts =
  | { readonly kind: 'always' }
  /** Since the scenario's start, in order and apart. */
  | { readonly kind: 'list'; readonly contacts: readonly { readonly aos: Duration; readonly los: Duration }[] }
  | { readonly kind: 'periodic'; readonly period: Duration; readonly duration: Duration; readonly first: Duration }
  /** An absolute path, and what the plan calls the two ends. */
  | { readonly kind: 'plan'; readonly file: string; readonly from: string; readonly to: string }
  | {
      readonly kind: 'orbit';
      readonly tle: readonly [string, string];
      readonly station: {
        readonly latitudeDegrees: number;
        readonly longitudeDegrees: number;
        readonly altitudeMetres: number;
      };
      readonly maskDegrees: number;
    };

export interface ResolvedLos {
  readonly inFlight: 'cut' | 'arrive';
  readonly queue: 'hold' | 'drop';
  readonly holdOctets: number;
  readonly holdAge: Duration;
}

export interface ResolvedTrafficClass {
  readonly name: string;
  readonly matches: readonly {
    readonly protocols?: readonly number[];
    readonly ports?: readonly number[];
    readonly dscps?: readonly number[];
    /** Addresses are host prefixes. */
    readonly prefixes?: readonly string[];
  }[];
  readonly priority: number;
  readonly weight: number;
  readonly limitPackets?: number;
  readonly limitOctets?: number;
  readonly discipline: 'tail-drop' | 'codel';
  readonly codelTarget?: Duration;
  readonly codelInterval?: Duration;
  readonly ecn: boolean;
  readonly staleAfter?: Duration;
  /** `off` also where the link holds by default. */
  readonly hold?: 'off' | { readonly octets: number; readonly duration: Duration; readonly storage: 'memory' | 'disk' };
}
