/**
 * The kernel's own account of a connection, TCP_INFO, as it is when the connection's socket goes away: `ss -E` in the namespace of
 * the sender listens for that. Its numbers stand beside those from packets; where the two differ, the packets are the evidence.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import type { SweepMeasures } from './result.ts';

export type TcpInfo = NonNullable<SweepMeasures['tcpInfo']> & { readonly local: string; readonly peer: string };

export class TcpInfoListener {
  readonly #namespace: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #child: ChildProcess;
  #text = '';

  /** `stdbuf`, because ss would keep what it has to say in its buffer. */
  constructor(namespace: string, environment: NodeJS.ProcessEnv) {
    this.#namespace = namespace;
    this.#environment = environment;
    this.#child = spawn('ip', ['netns', 'exec', namespace, 'stdbuf', '-oL', 'ss', '-tiOHEn'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: environment,
    });
    this.#child.on('error', () => {}); // Then there is no TCP_INFO, and the result says null.
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      if (this.#text.length < 1 << 20) this.#text += chunk.toString();
    });
  }

  /** Forgets what earlier connections left. */
  clear(): void {
    this.#text = '';
  }

  /** The connections that there are now; one that is reset has forgotten everything when its socket goes away. */
  sample(): Promise<void> {
    const args = ['netns', 'exec', this.#namespace, 'ss', '-tiOHn'];
    return new Promise((resolve) => {
      execFile('ip', args, { env: this.#environment }, (_error, stdout) => {
        this.#text += stdout;
        resolve();
      });
    });
  }

  /** Of the connection that sent most. */
  largest(congestionControl: string): SweepMeasures['tcpInfo'] {
    let best: TcpInfo | undefined;
    for (const line of this.#text.split('\n')) {
      const info = parseTcpInfo(line, congestionControl);
      if (info !== undefined && info.octetsAcknowledged > (best?.octetsAcknowledged ?? 0)) best = info;
    }
    if (best === undefined) return null;
    const { local: _, peer: __, ...info } = best;
    return info;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** A line of `ss -tiOHEn`. */
export function parseTcpInfo(line: string, congestionControl: string): TcpInfo | undefined {
  const words = line.trim().split(/\s+/);
  const [, , , local = '', peer = ''] = words;
  if (words.length < 6 || peer.endsWith(':*')) return undefined;
  const fields = new Map(words.slice(5).map((word) => word.split(/:(.*)/, 2) as [string, string | undefined]));
  const number = (key: string): number => Number.parseFloat(fields.get(key) ?? '0') || 0;
  return {
    local,
    peer,
    congestionControl,
    // ss prints milliseconds.
    minimumRoundTripSeconds: number('minrtt') / 1000,
    roundTripSeconds: number('rtt') / 1000,
    // `retrans:0/3`: unacknowledged now, and all.
    retransmitted: Number(fields.get('retrans')?.split('/')[1] ?? 0),
    octetsAcknowledged: number('bytes_acked'),
    octetsRetransmitted: number('bytes_retrans'),
    duplicatesReported: number('dsack_dups'),
    reordering: number('reord_seen'),
  };
}
