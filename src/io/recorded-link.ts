/** What the recorder calls a link, its two directions and the taps of each; docs/trace-format.md documents the names. */

export const TAPS = ['ip-in', 'frame-sent', 'frame-received', 'ip-out', 'dropped'] as const;
export type Tap = (typeof TAPS)[number];
export const TAP = { ipIn: 0, frameSent: 1, frameReceived: 2, ipOut: 3, dropped: 4 } as const;

export interface RecordedDirection {
  /** `up`, `down` or another name, unique in the link. */
  readonly name: string;
  /** The nodes at its two ends. */
  readonly from: string;
  readonly to: string;
  readonly bitPerSecond?: number;
  readonly framing: 'frame-relay' | 'cisco-hdlc' | 'ppp';
  /** 2 for FCS-16 (the default), 4 for FCS-32. */
  readonly fcsOctets?: 2 | 4;
  /** Names of the traffic classes by number. */
  readonly classes?: readonly string[];
}

export interface RecordedLink {
  readonly name: string;
  /** In the data plane's order: index 0 and 1 are its direction 0 and 1. */
  readonly directions: readonly [RecordedDirection, RecordedDirection];
}

/** What a capture takes; a field left out takes all. */
export interface CaptureSelection {
  readonly links?: readonly string[];
  readonly directions?: readonly string[];
  readonly taps?: readonly Tap[];
  /** Packets as the kernel of this node sees them: IP in of what it sends, IP out of what it receives. */
  readonly at?: string;
  /** Octets of each packet at most. Default: all that the ring has. */
  readonly snapOctets?: number;
}

export const interfaceName = (link: string, direction: string, tap: Tap): string => `${link}.${direction} ${tap}`;
