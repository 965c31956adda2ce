/** UDP port 434 of an agent, on each of its addresses: a reply must leave from the address that the request went to. */
import { createSocket, type Socket } from 'node:dgram';
import { formatIpv4, type Ipv4Address, parseIpv4 } from '../ip/index.ts';
import { MOBILE_IP_PORT, type UdpDatagram } from '../mobileip/index.ts';

export class MobileIpPorts {
  readonly #sockets = new Map<Ipv4Address, Socket>();
  sendErrors = 0;

  static async open(
    addresses: readonly Ipv4Address[],
    receive: (datagram: UdpDatagram) => void,
  ): Promise<MobileIpPorts> {
    const ports = new MobileIpPorts();
    for (const address of new Set(addresses)) await ports.#open(address, receive);
    return ports;
  }

  async #open(address: Ipv4Address, receive: (datagram: UdpDatagram) => void): Promise<void> {
    const socket = createSocket('udp4');
    this.#sockets.set(address, socket);
    socket.on('message', (payload, { address: from, port }) => {
      const source = parseIpv4(from);
      if (source === undefined) return;
      const destination = { destination: address, destinationPort: MOBILE_IP_PORT };
      // The TTL is not told here; who needs it reads a raw socket.
      receive({ source, sourcePort: port, ...destination, timeToLive: 0, payload: new Uint8Array(payload) });
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: formatIpv4(address), port: MOBILE_IP_PORT }, () => {
        socket.off('error', reject);
        // An ICMP error that came back: the machines' own timers deal with silence.
        socket.on('error', () => this.sendErrors++);
        resolve();
      });
    });
  }

  send({ source, destination, destinationPort, timeToLive, payload }: UdpDatagram): void {
    const socket = this.#sockets.get(source) ?? [...this.#sockets.values()][0];
    if (socket === undefined) return;
    socket.setTTL(timeToLive);
    socket.send(payload, destinationPort, formatIpv4(destination), (error) => {
      if (error !== null) this.sendErrors++;
    });
  }

  /** Joins a group on the interface that has this address. */
  join(group: Ipv4Address, address: Ipv4Address): void {
    this.#sockets.get(address)?.addMembership(formatIpv4(group), formatIpv4(address));
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
  }
}
