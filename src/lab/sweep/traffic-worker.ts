/**
 * The traffic of all runs that needs no stock program: a thread that opens sockets inside namespaces. A socket belongs to the
 * namespace in which its thread was when it was made, so the thread visits, makes it and comes back; one visit at a time.
 */
import { closeSync, openSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { parentPort } from 'node:worker_threads';
import { Rng } from '../../core/index.ts';
import { loadNative } from '../../io/native.ts';

export interface BulkRequest {
  readonly kind: 'bulk';
  /** Paths of namespaces. */
  readonly sender: string;
  readonly receiver: string;
  readonly receiverAddress: string;
  readonly octets: number | null;
  readonly seconds: number | null;
  readonly seed: string;
}

export interface ExchangeRequest {
  readonly kind: 'request-response';
  readonly client: string;
  readonly server: string;
  readonly serverAddress: string;
  readonly requests: number;
  readonly requestOctets: number;
  readonly responseOctets: number;
  readonly seed: string;
}

export type TrafficRequest = BulkRequest | ExchangeRequest;

export interface TrafficAnswer {
  /** Octets, or exchanges, that arrived. */
  readonly done: number;
  /** Of each exchange. */
  readonly seconds: readonly number[];
  /** It was ended by its own `seconds`. */
  readonly timed: boolean;
  readonly error?: string;
}

const PORT = 5001;
const CHUNK_OCTETS = 1 << 16;
const EXPIRY_MILLISECONDS = 2000;

const native = await loadNative();
const port = parentPort!;
const running = new Map<number, AbortController>();
/** The visit before. */
let visit: Promise<unknown> = Promise.resolve();

port.on('message', async (message: { id: number; request?: TrafficRequest; abort?: true }) => {
  const { id, request } = message;
  if (request === undefined) {
    running.get(id)?.abort();
    return;
  }
  const abort = new AbortController();
  running.set(id, abort);
  let answer: TrafficAnswer;
  try {
    answer = request.kind === 'bulk' ? await bulk(id, request, abort.signal) : await exchanges(request, abort.signal);
  } catch (error) {
    answer = { done: 0, seconds: [], timed: false, error: (error as Error).message };
  }
  running.delete(id);
  port.postMessage({ id, answer });
});

async function bulk(id: number, request: BulkRequest, signal: AbortSignal): Promise<TrafficAnswer> {
  let received = 0;
  let arrived: () => void = () => {};
  const all = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const server = await listen(request.receiver, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.on('close', () => arrived());
  });
  const socket = await connectFrom(
    request.sender,
    request.receiverAddress,
    (server.address() as { port: number }).port,
  );
  let timed = false;
  const timer = new AbortController();
  try {
    await opened(socket, signal);
    const end =
      request.seconds === null
        ? undefined
        : setTimeout(() => {
            timed = true;
            // The other side looks at the connection while it is there, and then says to end it.
            port.postMessage({ id, expired: true });
            setTimeout(() => timer.abort(), EXPIRY_MILLISECONDS);
          }, request.seconds * 1000);
    await send(
      socket,
      request.octets ?? Number.POSITIVE_INFINITY,
      request.seed,
      AbortSignal.any([signal, timer.signal]),
    );
    if (!timed && !signal.aborted) await Promise.race([all, aborted(signal), aborted(timer.signal)]);
    clearTimeout(end);
    return { done: received, seconds: [], timed };
  } finally {
    // A reset where it was cut short: nothing of it is sent any more.
    if (timed || signal.aborted) socket.resetAndDestroy();
    else socket.destroy();
    server.close();
  }
}

async function exchanges(request: ExchangeRequest, signal: AbortSignal): Promise<TrafficAnswer> {
  const { requestOctets, responseOctets } = request;
  const response = payload(responseOctets, `${request.seed}/response`);
  const server = await listen(request.server, (socket) => {
    let got = 0;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      for (got += chunk.length; got >= requestOctets; got -= requestOctets) socket.write(response);
    });
  });
  const socket = await connectFrom(request.client, request.serverAddress, (server.address() as { port: number }).port);
  socket.setNoDelay(true);
  const seconds: number[] = [];
  try {
    await opened(socket, signal);
    const question = payload(requestOctets, `${request.seed}/request`);
    let got = 0;
    let answered: () => void = () => {};
    socket.on('data', (chunk) => {
      got += chunk.length;
      if (got >= responseOctets) {
        got -= responseOctets;
        answered();
      }
    });
    const gone = Promise.race([aborted(signal), new Promise<void>((resolve) => socket.once('close', () => resolve()))]);
    while (seconds.length < request.requests && !signal.aborted && !socket.destroyed) {
      const started = performance.now();
      const answer = new Promise<boolean>((resolve) => {
        answered = () => resolve(true);
      });
      socket.write(question);
      if ((await Promise.race([answer, gone])) !== true) break;
      seconds.push((performance.now() - started) / 1000);
    }
    return { done: seconds.length, seconds, timed: false };
  } finally {
    if (seconds.length < request.requests) socket.resetAndDestroy();
    else socket.end();
    server.close();
  }
}

async function send(socket: Socket, octets: number, seed: string, signal: AbortSignal): Promise<void> {
  const chunk = payload(CHUNK_OCTETS, seed);
  let left = octets;
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const over = Promise.race([aborted(signal), closed]);
  while (left > 0 && !signal.aborted && failure === undefined) {
    const piece = left >= chunk.length ? chunk : chunk.subarray(0, left);
    left -= piece.length;
    if (!socket.write(piece)) await Promise.race([new Promise<void>((resolve) => socket.once('drain', resolve)), over]);
  }
  if (failure !== undefined) throw failure;
  if (!signal.aborted) socket.end();
}

function listen(namespace: string, handle: (socket: Socket) => void): Promise<Server> {
  return inNamespace(namespace, () => {
    const server = createServer({ allowHalfOpen: false }, (socket) => {
      socket.on('error', () => {});
      handle(socket);
    });
    // Without a host the socket is made within the call. The port is free again at once, the connection before may linger.
    server.listen(PORT);
    return new Promise<Server>((resolve, reject) => {
      server.once('listening', () => resolve(server));
      server.once('error', reject);
    });
  });
}

function connectFrom(namespace: string, host: string, to: number): Promise<Socket> {
  return inNamespace(namespace, async () => {
    const socket = connect({ host, port: to });
    socket.on('error', () => {});
    // To an address, Node makes the socket on the next tick; this one comes after it.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    return socket;
  });
}

/** Nothing else of this thread may make a socket meanwhile, so visits queue. */
function inNamespace<Value>(namespace: string, work: () => Promise<Value>): Promise<Value> {
  const mine = visit.then(async () => {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    try {
      native.enterNetworkNamespace(namespace);
      try {
        return await work();
      } finally {
        native.enterNetworkNamespace(`/proc/self/fd/${home}`);
      }
    } finally {
      closeSync(home);
    }
  });
  visit = mine.catch(() => {});
  return mine;
}

function opened(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!socket.connecting && !socket.destroyed) return resolve();
    socket.once('connect', () => resolve());
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed before it was open')));
    signal.addEventListener('abort', () => reject(new Error('given up')), { once: true });
  });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Octets of chance, so that bit stuffing is what it is for compressed data. */
function payload(octets: number, seed: string): Uint8Array {
  const data = new Uint8Array(octets);
  new Rng(seed, 'payload').fill(data);
  return data;
}
