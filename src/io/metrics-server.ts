/** `--metrics ADDR`: one page over HTTP, `/metrics`, for Prometheus to scrape. Read only; listens on loopback unless told otherwise. */
import { createServer, type Server } from 'node:http';
import { OmniError } from '../core/index.ts';

export const DEFAULT_METRICS_HOST = '127.0.0.1';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `9477`, `:9477`, `127.0.0.1:9477`, `[::1]:9477`; undefined when it is none of these. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) return undefined;
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? DEFAULT_METRICS_HOST : host, port };
}

export const formatListenAddress = ({ host, port }: ListenAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Serves what `render` gives at each request. Rejects with OmniError OMNI_METRICS_LISTEN when the address cannot be had. */
export function serveMetrics(
  address: ListenAddress,
  contentType: string,
  render: () => Promise<string> | string,
): Promise<{ readonly server: Server; readonly address: ListenAddress }> {
  const server = createServer(async (request, response) => {
    const path = request.url?.split('?')[0];
    if (path !== '/metrics') {
      response.writeHead(path === '/' ? 200 : 404, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(path === '/' ? 'omni: the metrics are at /metrics\n' : 'there is only /metrics\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
      return;
    }
    try {
      const text = await render();
      response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) });
      response.end(request.method === 'HEAD' ? undefined : text);
    } catch (error) {
      response.writeHead(500, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(`${(error as Error).message}\n`);
    }
  });
  server.headersTimeout = 5000;
  server.requestTimeout = 5000;
  server.maxConnections = 16;
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const text = formatListenAddress(address);
      reject(
        new OmniError('OMNI_METRICS_LISTEN', `cannot serve metrics at ${text}: ${cause.message}`, {
          cause,
          remedy:
            cause.code === 'EADDRINUSE'
              ? 'something else listens there; choose another port, or 0 for any'
              : 'choose an address of this machine',
        }),
      );
    });
    server.listen(address.port, address.host, () => {
      const bound = server.address();
      resolve({
        server,
        address: { host: address.host, port: typeof bound === 'object' && bound !== null ? bound.port : address.port },
      });
    });
  });
}
