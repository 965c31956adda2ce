/** Gratuitous ARP on a home LAN: repeated a few times, as RFC 5944 section 4.6 asks, because nobody acknowledges a broadcast. */
import { readFileSync, writeSync } from 'node:fs';
import { fromHex } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { emitGratuitousArp } from '../mobileip/index.ts';
import type { Native } from './native.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
// Linux ignores a change within a second of the one before (neigh locktime): the last must come later.
const REPEAT_AFTER_MILLISECONDS = [0, 300, 1200, 2500];

export const hardwareAddressOf = (text: string): Uint8Array => fromHex(text.trim().replaceAll(':', ''));

export class ArpBroadcast {
  readonly #native: Native;
  readonly #fd: number;
  readonly #own: Uint8Array;
  readonly #timers = new Map<Ipv4Address, NodeJS.Timeout[]>();
  sent = 0;

  /** @param interfaceName of an Ethernet in the process's namespace. Throws NativeError without CAP_NET_RAW. */
  constructor(native: Native, interfaceName: string) {
    const read = (file: string) => readFileSync(`/sys/class/net/${interfaceName}/${file}`, 'utf8');
    this.#native = native;
    this.#own = hardwareAddressOf(read('address'));
    this.#fd = native.openSocketInNamespace({ domain: AF_PACKET, type: SOCK_RAW });
    native.bindPacketSocket(this.#fd, Number(read('ifindex')), 0);
  }

  /** Tells the LAN that the address is at this hardware address, ours by default; what was being told of it before ends. */
  announce(address: Ipv4Address, hardwareAddress: Uint8Array = this.#own): void {
    this.silence(address);
    const frame = emitGratuitousArp(address, hardwareAddress);
    const timers = REPEAT_AFTER_MILLISECONDS.map((after) => setTimeout(() => this.#send(frame), after));
    this.#timers.set(address, timers);
  }

  silence(address: Ipv4Address): void {
    for (const timer of this.#timers.get(address) ?? []) clearTimeout(timer);
    this.#timers.delete(address);
  }

  close(): void {
    for (const address of [...this.#timers.keys()]) this.silence(address);
    this.#native.closeFd(this.#fd);
  }

  #send(frame: Uint8Array): void {
    try {
      writeSync(this.#fd, frame);
      this.sent++;
    } catch {
      // The cable is out, or the queue is full: the next repetition may pass.
    }
  }
}
