export * from './address.ts';
export * from './checksum.ts';
export * from './icmp.ts';
export * from './ipv4.ts';
export * from './ipv6.ts';
export * from './protocol.ts';
export * from './tcp.ts';
export * from './udp.ts';
