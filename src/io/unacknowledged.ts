/**
 * Octets that the kernel has taken from us and the peer's has not acknowledged yet: tx_queue of /proc/net/tcp, proc(5). A small file
 * fits into the kernel's send buffer whole, hours before the last octet has crossed a slow link.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

/** 0 when the kernel knows no such connection. */
export function unacknowledgedOctets({ localPort, remotePort }: Pick<Socket, 'localPort' | 'remotePort'>): number {
  if (localPort === undefined || remotePort === undefined) return 0;
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  const row = new RegExp(
    `^ *\\d+: [0-9A-F]+:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} [0-9A-F]{2} ([0-9A-F]{8}):`,
    'm',
  );
  for (const table of TABLES) {
    try {
      const queue = row.exec(readFileSync(table, 'latin1'))?.[1];
      if (queue !== undefined) return Number.parseInt(queue, 16);
    } catch {
      // No IPv6 here.
    }
  }
  return 0;
}
