/**
 * The daemon's control socket: JSON lines over a Unix socket.
 *
 *   → {"id":1,"method":"status","params":{}}
 *   ← {"id":1,"result":{…}}            or {"id":1,"error":{"code":"OMNI_NO_SUCH_LINK","message":"…"}}
 *   ← {"id":1,"item":{…}} …, {"id":1,"result":null}     when the answer is a stream
 *
 * A request beyond 1 MiB, or what is not JSON, ends the connection. A client that goes away ends its streams.
 */
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { OmniError } from '../core/index.ts';

/** Answers a request, now, later, or item by item. What it throws goes to the client. */
export type ControlHandler = (method: string, params: Readonly<Record<string, unknown>>) => unknown;

const LONGEST_REQUEST_OCTETS = 1 << 20;

interface Message {
  readonly id?: number;
  readonly item?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: `OMNI_${string}`; readonly message: string };
}

/** Listens at the path, readable by root only. */
export function serveControl(path: string, handle: ControlHandler): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    const answering = new Set<AsyncIterator<unknown>>();
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const stream of answering) void stream.return?.();
    });
    onLines(socket, (line) => {
      let request: { id?: unknown; method?: unknown; params?: unknown };
      try {
        request = JSON.parse(line);
      } catch {
        socket.destroy();
        return;
      }
      void answer(socket, request, handle, answering);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o077);
    server.listen(path, () => resolve(server));
    process.umask(mask);
  });
}

async function answer(
  socket: Socket,
  { id, method, params }: { id?: unknown; method?: unknown; params?: unknown },
  handle: ControlHandler,
  answering: Set<AsyncIterator<unknown>>,
): Promise<void> {
  const send = (message: object) => {
    if (socket.writable) return socket.write(`${JSON.stringify({ id, ...message })}\n`);
    return true;
  };
  try {
    const result = await handle(String(method), (params ?? {}) as Record<string, unknown>);
    if (!isAsyncIterable(result)) {
      send({ result: result ?? null });
      return;
    }
    const stream = result[Symbol.asyncIterator]();
    answering.add(stream);
    for (let next = await stream.next(); !next.done && !socket.destroyed; next = await stream.next())
      if (!send({ item: next.value })) await drained(socket);
    answering.delete(stream);
    if (socket.destroyed) await stream.return?.();
    send({ result: null });
  } catch (error) {
    const { message, code } = error as { message: string; code?: unknown };
    send({ error: { code: typeof code === 'string' && code.startsWith('OMNI_') ? code : 'OMNI_REQUEST', message } });
  }
}

const drained = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

/** One request, one answer. Throws OmniError: OMNI_NO_DAEMON when nobody listens, else what the daemon said. */
export async function controlRequest(path: string, method: string, params: object = {}): Promise<unknown> {
  let result: unknown;
  for await (const message of exchange(path, method, params)) if ('result' in message) result = message.result;
  return result;
}

/** A streamed answer, item by item; leaving the loop, or the signal, closes the connection and ends the stream. */
export async function* controlStream(
  path: string,
  method: string,
  params: object = {},
  signal?: AbortSignal,
): AsyncGenerator<unknown> {
  for await (const message of exchange(path, method, params, signal)) if ('item' in message) yield message.item;
}

async function* exchange(path: string, method: string, params: object, signal?: AbortSignal): AsyncGenerator<Message> {
  const socket = connect(path);
  const abort = () => socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  const arrived: Message[] = [];
  let wake = () => {};
  let ended: Error | undefined;
  socket.on('error', (cause) => {
    const code = (cause as NodeJS.ErrnoException).code;
    ended ??=
      code === 'EACCES'
        ? new OmniError('OMNI_NO_PERMISSION', 'the testbed belongs to root', { cause, remedy: 'run it with sudo' })
        : new OmniError('OMNI_NO_DAEMON', 'the daemon of the testbed does not answer', {
            cause,
            remedy: "'omni down' removes what is left of it",
          });
    wake();
  });
  socket.on('close', () => {
    ended ??= new OmniError('OMNI_NO_DAEMON', 'the daemon of the testbed ended the connection');
    wake();
  });
  onLines(socket, (line) => {
    arrived.push(JSON.parse(line) as Message);
    wake();
  });
  socket.write(`${JSON.stringify({ id: 1, method, params })}\n`);
  try {
    for (;;) {
      const message = arrived.shift();
      if (message === undefined) {
        if (signal?.aborted) return;
        if (ended !== undefined) throw ended;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (message.error !== undefined) throw new OmniError(message.error.code, message.error.message);
      yield message;
      if ('result' in message) return;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    socket.destroy();
  }
}

function onLines(socket: Socket, handle: (line: string) => void): void {
  let pending = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    pending += chunk;
    let end = pending.indexOf('\n');
    while (end >= 0) {
      handle(pending.slice(0, end));
      pending = pending.slice(end + 1);
      end = pending.indexOf('\n');
    }
    // Answers (a status of a hundred nodes) may be long; requests may not.
    if (pending.length > LONGEST_REQUEST_OCTETS * 64) socket.destroy();
  });
}
