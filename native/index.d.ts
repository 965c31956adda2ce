/**
 * What Node lacks and a space link needs: TUN devices, many packets a call, a precise timer. System calls only, no
 * protocols. Linux.
 *
 * Instants are nanoseconds of CLOCK_MONOTONIC, as a number (exact to 1 ns for the first 104 days of uptime, to 2 ns for
 * as long again). Refused system calls throw {@link NativeError}; wrong arguments throw TypeError or RangeError before
 * anything was done.
 */

/** A system call that the kernel refused. The message says what was attempted, on what, and which call it was. */
export interface NativeError extends Error {
  /** For example `EPERM`, `EBUSY`, `ENOENT`. */
  readonly code: string;
  /** The negative errno, as in Node's own errors. */
  readonly errno: number;
  /** For example `ioctl(TUNSETIFF)`. */
  readonly syscall: string;
}

/** Now, on CLOCK_MONOTONIC, in nanoseconds. Never goes back; stands still while the machine sleeps. */
export function monotonicNanoseconds(): number;

/** Now, on CLOCK_REALTIME, in nanoseconds since 1970. Steps when somebody sets the clock. */
export function realtimeNanoseconds(): bigint;

export interface TunOptions {
  /** Interface name, at most 15 octets; `tun%d` lets the kernel number it. */
  readonly name: string;
  /** Network namespace to create it in, such as `/run/netns/sc`. Without it: that of the calling thread. */
  readonly netns?: string;
  /**
   * Put the 10-octet virtio_net_hdr before every packet, in both directions, and take packets of up to 65535 octets whose
   * TCP segmentation and checksum are still to be done (TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6).
   */
  readonly vnetHeader?: boolean;
  /** With `vnetHeader`: the same for UDP (USO), where the kernel can (Linux 6.2). The result says whether it can. */
  readonly udpSegmentation?: boolean;
}

export interface Tun {
  /** Non-blocking, close-on-exec; give it back with {@link closeFd}. The device lives as long as it is open. */
  readonly fd: number;
  /** The name that the kernel gave. */
  readonly name: string;
  /** UDP segmentation was asked for and granted. */
  readonly udpSegmentation: boolean;
}

/**
 * Creates a TUN device (layer 3, no packet information), or attaches to a persistent one. It is down and has no address.
 * With `netns` the calling thread visits that namespace; should it be unable to return, the process aborts.
 * @throws NativeError EPERM (needs CAP_NET_ADMIN; with `netns` CAP_SYS_ADMIN), EACCES (/dev/net/tun is root's), EBUSY (name in use), EINVAL (no interface
 * name, or `netns` is no network namespace), ENOENT (no such namespace, or no /dev/net/tun).
 */
export function openTun(options: TunOptions): Tun;

export interface SocketOptions {
  readonly netns?: string;
  /** AF_INET 2, AF_INET6 10, AF_PACKET 17. */
  readonly domain: number;
  /** SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_RAW 3. */
  readonly type: number;
  /** Default 0. */
  readonly protocol?: number;
  /** Receives from, and sends to, this interface only. */
  readonly interface?: string;
}

/**
 * A non-blocking, close-on-exec socket that belongs to `netns`. Give it back with {@link closeFd}.
 * @throws NativeError EPERM, ENOENT, EINVAL, EAFNOSUPPORT, EPROTONOSUPPORT.
 */
export function openSocketInNamespace(options: SocketOptions): number;

/**
 * Gives a raw IPv4 socket its peer (a 32-bit number, first octet highest): it then receives from there only, and what a
 * reactor writes to it goes there, behind an IP header of the kernel's.
 * @throws NativeError EBADF, EACCES (broadcast), ENETUNREACH (no route).
 */
export function connectSocket(fd: number, address: number): void;

/**
 * Ties a packet socket (AF_PACKET) to an interface: what is written to it leaves there, link-layer header and all, and with a
 * protocol other than 0 (EtherType) it receives such frames from there.
 * @throws NativeError EBADF, ENODEV, ENOTSOCK.
 */
export function bindPacketSocket(fd: number, interfaceIndex: number, protocol: number): void;

/**
 * Closes a descriptor that this module opened (in this thread). What is still open when the thread ends is closed then.
 * @throws NativeError EBADF (not ours, or closed before), EBUSY (an open reactor still has it: `removeTun` first).
 */
export function closeFd(fd: number): void;

/**
 * Moves the calling thread to a network namespace for good, and with it every thread and process that it starts later.
 * Threads that exist already stay behind: libuv's pool (dns.lookup!) once anything has used it. Call it first, or better
 * start the process inside with `ip netns exec`, which also gives it the namespace's /sys and resolv.conf.
 * @throws NativeError EPERM (needs CAP_SYS_ADMIN), ENOENT, EINVAL (not a network namespace).
 */
export function enterNetworkNamespace(path: string): void;

/**
 * Watches TUNs and one timer. Open, it keeps the event loop (and itself) alive; idle, it costs nothing. Every method but
 * `close` throws EBADF once it is closed.
 */
export interface Reactor {
  /**
   * Watches `fd`, known as `index` (0 to 65535) from now on. The caller still owns it. It is made non-blocking. Anything
   * that keeps packet boundaries will do: a TUN, a raw socket.
   * @throws NativeError EEXIST (index taken, or descriptor here already), EBADF, EPERM (a plain file).
   */
  addTun(fd: number, index: number): void;

  /** Forgets it. Packets that wait in it stay there. @throws NativeError ENOENT (no such index). */
  removeTun(index: number): void;

  /**
   * Back-pressure: a paused TUN neither wakes nor is read, and the kernel's own queue (`txqueuelen`) fills and drops.
   * @throws NativeError ENOENT (no such index).
   */
  pauseRead(index: number, paused: boolean): void;

  /**
   * Wakes at this instant (replacing the one before). 0 or Infinity: never. An instant in the past wakes on the next turn
   * of the loop, not from within this call. The same instant again costs no system call. Once expired, it is disarmed.
   */
  setTimer(deadlineNanoseconds: number): void;

  /** Whether the timer has expired since this was last asked. After a `setTimer` it may still speak of the one before. */
  timerExpired(): boolean;

  /**
   * Takes packets from the TUNs that were ready at the last wake-up, in turns of 16, until all are empty or `slotCount`
   * slots are used. What is left wakes again on the next turn of the loop.
   *
   * Slot i is `slotOctets` octets from `slotOffsets[i]` in `arena`; `out[2i]` becomes the TUN's index and `out[2i+1]` the
   * packet's length. A negative length uses up a slot too, and means that it holds nothing of value:
   * {@link TRUNCATED} (-1), a packet longer than the slot; otherwise a negative errno. After -77 (EBADFD: the device was
   * deleted), -9, -19 and -107 the TUN is no longer watched; its index is taken until `removeTun`.
   *
   * The arrays must not overlap and must not be over shared memory.
   * @returns how many slots were used
   * @throws TypeError, RangeError: before anything was read
   */
  readBatch(arena: Uint8Array, slotOffsets: Int32Array, slotCount: number, slotOctets: number, out: Int32Array): number;

  /**
   * Writes `count` packets in order. Packet i is `descriptors[3i]` the TUN's index, `[3i+1]` its offset in `arena`,
   * `[3i+2]` its length. `results[i]` becomes 0 or the (positive) errno: 5 EIO (device down), 11 EAGAIN (not now; wakes
   * when it is possible again, and until then every packet for this TUN is refused, so that order is kept), 22 EINVAL
   * (neither IPv4 nor IPv6), 19 ENODEV (no such index here), 77 EBADFD (device deleted).
   * The arrays must not overlap and must not be over shared memory.
   * @returns how many were accepted
   * @throws TypeError, RangeError: before anything was written
   */
  writeBatch(arena: Uint8Array, descriptors: Int32Array, count: number, results: Int32Array): number;

  /** Stops watching and lets the loop end. The TUNs stay open, they are the caller's. Again: nothing happens. */
  close(): void;
}

/**
 * @param onWake called at most once a turn of the loop, when a TUN can be read, or written again after EAGAIN, or the
 * timer has expired. An exception from it is an uncaughtException. A ready TUN that is neither read nor paused calls
 * again on every turn.
 * @throws NativeError EMFILE, ENFILE, ENOMEM.
 */
export function createReactor(onWake: (this: Reactor) => void): Reactor;

/** In `out` of {@link Reactor.readBatch}: the packet was longer than its slot. */
export const TRUNCATED: -1;

/**
 * SCHED_FIFO at `priority` (1 to 99) for the calling thread, or back to ordinary with 0. Programs and threads started
 * from it are ordinary. A loop that never rests starves this CPU's ordinary work up to the kernel's limit (0.95 of it).
 * @returns false without the right to it (CAP_SYS_NICE or RLIMIT_RTPRIO)
 */
export function setRealtimePriority(priority: number): boolean;

/**
 * Keeps the program's code and stack (all that is mapped from files now: node, its libraries, this module) from being
 * evicted once it has been touched. Not V8's heap: V8 aborts when the kernel refuses to take back a page of it. On a
 * machine without swap nothing else can be evicted.
 * @returns false without the right to it (CAP_IPC_LOCK, or a RLIMIT_MEMLOCK of some 100 MB)
 */
export function lockMemory(): boolean;

/**
 * Restricts the calling thread, and what it starts afterwards (programs too), to these CPUs.
 * @returns false if none of them exists or is allowed
 */
export function setCpuAffinity(cpus: readonly number[]): boolean;

/**
 * How late the kernel may make the calling thread's sleeps (epoll_wait and such: setTimeout); 0 for the thread's default
 * (50 us). Does nothing for {@link Reactor.setTimer}, which never has any slack, nor under SCHED_FIFO.
 */
export function setTimerSlack(nanoseconds: number): void;

/**
 * Asks for `signal` (for example `os.constants.signals.SIGTERM`; 0: none) when the *thread* that started this process
 * ends. A parent that is dead already sends nothing: look at process.ppid afterwards. Lost in a fork, kept over exec.
 */
export function parentDeathSignal(signal: number): void;

/**
 * Octets written to a TCP socket that its peer has not acknowledged, sent or not (SIOCOUTQ, tcp(7)).
 * @throws NativeError EBADF, EINVAL (it listens), ENOTTY (no socket).
 */
export function unacknowledgedOctets(fd: number): number;

/**
 * From now on closing the TCP socket throws away what is unacknowledged and resets the connection (SO_LINGER with no time,
 * socket(7)); also when the kernel closes it because the process was killed. Otherwise the kernel would go on sending for minutes.
 * @throws NativeError EBADF, ENOTSOCK.
 */
export function resetOnClose(fd: number): void;

/**
 * Has a TCP socket wait a moment (40 ms) for data of its own that can carry an acknowledgement, as it would by itself after some
 * turns of questions and answers (TCP_QUICKACK, tcp(7)). It returns to acknowledging at once when the data comes one way only.
 * @throws NativeError EBADF, ENOTSOCK.
 */
export function delayAcknowledgements(fd: number): void;
