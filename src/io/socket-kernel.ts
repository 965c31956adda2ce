/**
 * What the kernel knows of a TCP socket and Node does not tell: how much is unacknowledged, and that closing shall reset. By the native
 * addon; where it is not built, what is unacknowledged comes from /proc, and a killed process leaves connections that the kernel
 * goes on with.
 */
import type { Socket } from 'node:net';
import { loadNative, type Native } from './native.ts';
import { unacknowledgedOctets } from './unacknowledged.ts';

export class SocketKernel {
  readonly #native: Native | undefined;

  static async load(): Promise<SocketKernel> {
    return new SocketKernel(await loadNative().catch(() => undefined));
  }

  constructor(native: Native | undefined) {
    this.#native = native;
  }

  /** Octets that the kernel has taken and the peer has not acknowledged. */
  unacknowledged(socket: Socket): number {
    const fd = descriptorOf(socket);
    return this.#native === undefined || fd === undefined
      ? unacknowledgedOctets(socket)
      : this.#native.unacknowledgedOctets(fd);
  }

  /** From now on, whoever closes the socket resets the connection: a kill -9 too. False: it cannot be had. */
  resetOnClose(socket: Socket): boolean {
    const fd = descriptorOf(socket);
    if (this.#native === undefined || fd === undefined) return false;
    this.#native.resetOnClose(fd);
    return true;
  }

  /** Acknowledgements go with answers: at 9,600 bit/s one alone takes 50 ms. */
  delayAcknowledgements(socket: Socket): void {
    const fd = descriptorOf(socket);
    if (fd !== undefined) this.#native?.delayAcknowledgements(fd);
  }
}

/** Node keeps it where every libuv stream has it; -1 when closed. */
function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
