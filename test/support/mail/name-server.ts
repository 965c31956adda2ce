/** A name server on loopback that answers from a table, for Node's own resolver; the stock resolver goes on asking its own. */
import { createSocket } from 'node:dgram';
import dns from 'node:dns/promises';

export interface Zone {
  readonly mx?: readonly (readonly [number, string])[];
  /** IPv4 */
  readonly a?: readonly string[];
  /** SERVFAIL to every question. */
  readonly fails?: true;
}

const TYPES = { a: 1, mx: 15 } as const;
const NXDOMAIN = 3;
const SERVFAIL = 2;

/** Names that the table lacks do not exist. Returns what ends it. */
export async function nameServer(zones: Readonly<Record<string, Zone>>): Promise<() => void> {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += length + 1;
    }
    const question = query.subarray(12, at + 5);
    const type = query.readUInt16BE(at + 1);
    const zone = zones[labels.join('.').toLowerCase()];
    const answers = zone === undefined ? [] : records(zone, type);
    const code = zone === undefined ? NXDOMAIN : zone.fails ? SERVFAIL : 0;
    const header = Buffer.from([query[0]!, query[1]!, 0x81, 0x80 | code, 0, 1, 0, answers.length, 0, 0, 0, 0]);
    socket.send(Buffer.concat([header, question, ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const before = dns.getServers();
  dns.setServers([`127.0.0.1:${socket.address().port}`]);
  return () => {
    dns.setServers(before);
    socket.close();
  };
}

function records(zone: Zone, type: number): Buffer[] {
  const record = (data: Buffer) =>
    Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 255]), data]);
  if (type === TYPES.a) return (zone.a ?? []).map((address) => record(Buffer.from(address.split('.').map(Number))));
  if (type !== TYPES.mx) return [];
  return (zone.mx ?? []).map(([preference, host]) => {
    const labels = host.split('.').filter(Boolean);
    const name = labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
    return record(Buffer.concat([Buffer.from([preference >> 8, preference & 255]), ...name, Buffer.from([0])]));
  });
}
