/** Protocol numbers (IANA), ports and DSCPs that the node treats specially. */
export const PROTOCOL = {
  hopByHopOptions: 0,
  icmp: 1,
  igmp: 2,
  ipInIp: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  ipv6Routing: 43,
  ipv6Fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmpv6: 58,
  ipv6NoNextHeader: 59,
  ipv6DestinationOptions: 60,
  minimalEncapsulation: 55,
} as const;

export const PORT = {
  ftpData: 20,
  ftp: 21,
  ssh: 22,
  smtp: 25,
  ntp: 123,
  mobileIp: 434,
  submission: 587,
  /** Of omni's own services, unless the scenario says otherwise. */
  telemetry: 11_020,
  command: 11_021,
  /** Where telemetry from the onboard store comes from, so that routers can tell it from the live packets. */
  telemetryDump: 11_022,
} as const;

/** RFC 2474 section 4.2.2, RFC 2597, RFC 3246. */
export const DSCP = {
  cs1: 8,
  cs2: 16,
  cs3: 24,
  cs4: 32,
  cs5: 40,
  ef: 46,
  cs6: 48,
  cs7: 56,
  af11: 10,
  af41: 34,
} as const;

/** The ECN field, RFC 3168 section 5. */
export const ECN = { notEct: 0, ect1: 1, ect0: 2, ce: 3 } as const;
