/** Small captures for stock programs to read: classic pcap, link type 101 (raw IP). */
import { emitIpv4Packet } from '../../src/ip/index.ts';

/** An IPv4 datagram with UDP (no checksum) from 10.0.0.2 to 10.0.0.1. */
export function udpDatagram(sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  const udp = new Uint8Array(8 + payload.length);
  const view = new DataView(udp.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, udp.length);
  udp.set(payload, 8);
  return emitIpv4Packet({ source: 0x0a000002, destination: 0x0a000001, protocol: 17, payload: udp });
}

export function rawIpPcap(datagrams: readonly Uint8Array[]): Uint8Array {
  const size = 24 + datagrams.reduce((sum, d) => sum + 16 + d.length, 0);
  const octets = new Uint8Array(size);
  const view = new DataView(octets.buffer);
  view.setUint32(0, 0xa1b2c3d4);
  view.setUint16(4, 2);
  view.setUint16(6, 4);
  view.setUint32(16, 65_535);
  view.setUint32(20, 101);
  let at = 24;
  for (const [i, datagram] of datagrams.entries()) {
    view.setUint32(at, i);
    view.setUint32(at + 8, datagram.length);
    view.setUint32(at + 12, datagram.length);
    octets.set(datagram, at + 16);
    at += 16 + datagram.length;
  }
  return octets;
}
