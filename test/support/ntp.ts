/** Packets for NTP tests. */
import type { NtpPacket } from '../../src/apps/ntp/index.ts';

/** A client request of version 4 with transmit timestamp 1. */
export function blank(): Omit<NtpPacket, 'mac'> {
  return {
    leap: 0,
    version: 4,
    mode: 3,
    stratum: 0,
    poll: 6,
    precision: -20,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0,
    reference: 0n,
    origin: 0n,
    receive: 0n,
    transmit: 1n,
    extensions: [],
  };
}
