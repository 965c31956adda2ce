/** HDLC/IP framing: frame check sequences, bit stuffing, framer and deframer, and the three encapsulations. */
export { createSealingArena, type SealingArena } from './arena-seal.ts';
export { BitBuffer } from './bits.ts';
export { ciscoHdlc } from './cisco-hdlc.ts';
export {
  DEFAULT_MAXIMUM_FRAME_OCTETS,
  type DeframedFrame,
  type DeframeOutcome,
  Deframer,
  type DeframerCounters,
  type DeframerOptions,
} from './deframer.ts';
export {
  describeParseFailure,
  type EncapsulatedProtocol,
  type Encapsulation,
  IP_VERSION_4,
  IP_VERSION_6,
  PARSE_FAILURE,
  type ParseFailure,
  payloadIpVersion,
  payloadOffset,
} from './encapsulation.ts';
export { type FcsWidth, fcs16, fcs32, fcsIsGood, fcsOctets, writeFcs } from './fcs.ts';
export { DEFAULT_DLCI, frameRelay, HIGHEST_DLCI, LOWEST_DLCI } from './frame-relay.ts';
export { appendFlags, appendStuffed, FLAG, FLAG_BITS } from './framer.ts';
export { ppp } from './ppp.ts';
export { type SealFrame, sealFrame } from './seal.ts';
export { countInsertedZeros } from './stuffing.ts';
