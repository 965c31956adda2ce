/**
 * The flight that the demonstration is held against: an image fetched by FTP from UoSAT-12 during a pass on 5 July 2000, over a
 * 38.4 kbit/s downlink without forward error correction. Criscuolo, Hogie and Parise, "Transport Protocols and Applications for
 * Internet Use in Space", IEEE Aerospace Conference 2001. The bit error rate is derived: 9 of 445 frames of 558 octets lost.
 */
export const FLIGHT = {
  date: '5 July 2000',
  octets: 227_840,
  seconds: 59.7,
  goodputBitPerSecond: 30_400,
  utilisation: 0.792,
  segments: 445,
  segmentOctets: 512,
  retransmissions: { total: 9, fast: 7, timeout: 2 },
  linkBitPerSecond: 38_400,
  bitErrorRate: 4.5e-6,
} as const;

/** 512 octets of data in 20 of TCP, 20 of IP, 4 of Frame Relay and RFC 2427, 2 of FCS and 1 flag; stuffing not counted. */
export const CEILING = 512 / (512 + 20 + 20 + 4 + 2 + 1);
