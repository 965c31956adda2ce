/**
 * How packets and commands are described: once, as data. Encoder, decoder, documentation and XTCE all come from the same
 * description. Fields are whole octets in network order; that costs a few bits and saves every reader a bit cursor.
 */

export type ParameterType =
  | { readonly kind: 'unsigned'; readonly bits: 8 | 16 | 32 | 64 }
  | { readonly kind: 'signed'; readonly bits: 8 | 16 | 32 | 64 }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'enumerated'; readonly bits: 8 | 16; readonly labels: readonly string[] }
  /** UTF-8, cut to and padded with zeros to so many octets. */
  | { readonly kind: 'text'; readonly octets: number };

export interface Parameter {
  readonly name: string;
  readonly description: string;
  readonly type: ParameterType;
  /** SI, or as the field writes it. */
  readonly unit?: string;
  /** Engineering value = offset + slope × raw. */
  readonly calibration?: { readonly offset: number; readonly slope: number };
  /** Inclusive, in engineering units. Outside `watch` is a warning, outside `alarm` critical. */
  readonly limits?: { readonly watch?: readonly [number, number]; readonly alarm?: readonly [number, number] };
  /** Arguments only: the legal range, inclusive. */
  readonly range?: readonly [number, number];
}

export interface PacketDefinition {
  readonly name: string;
  readonly apid: number;
  readonly description: string;
  readonly parameters: readonly Parameter[];
}

export interface CommandDefinition {
  readonly name: string;
  /** Two octets at the start of the command's data. */
  readonly opcode: number;
  readonly description: string;
  readonly arguments: readonly Parameter[];
  /** The action on board that carries it out. */
  readonly action: string;
  /** Asks the operator to confirm. */
  readonly hazardous?: boolean;
}

export interface Dictionary {
  readonly name: string;
  readonly description: string;
  readonly packets: readonly PacketDefinition[];
  /** APID of telecommands. */
  readonly commandApid: number;
  readonly commands: readonly CommandDefinition[];
}

export function octetsOf(type: ParameterType): number {
  switch (type.kind) {
    case 'boolean':
      return 1;
    case 'text':
      return type.octets;
    default:
      return type.bits / 8;
  }
}
