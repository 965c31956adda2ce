/** Why a router drops a packet: a closed union, one counter each per interface and direction. docs/metrics.md explains them. */
export const DROP_REASONS = [
  // the header
  'short-header',
  'bad-version',
  'bad-header-length',
  'bad-total-length',
  'bad-checksum',
  'bad-options',
  'source-route',
  // the addresses (RFC 1812 section 5.3.7)
  'martian-source',
  'martian-destination',
  'own-source',
  'multicast',
  'link-scope',
  // forwarding
  'no-route',
  'host-loop',
  'link-down',
  'ttl',
  'mtu',
  'protocol',
  'fragment',
  'fragment-overlap',
  'fragment-limit',
  'fragment-timeout',
  'no-buffer',
  // queues
  'queue-full',
  'codel',
  'age',
  'stale',
  'store-failed',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
