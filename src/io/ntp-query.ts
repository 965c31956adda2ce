/** Asks an NTP server some times and reports the answer with the least delay, as ntpdig and sntp do. Changes no clock. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import {
  type Exchange,
  judgeReply,
  type Measurement,
  makeRequest,
  type NtpKey,
  type ReplyRefusal,
} from '../apps/ntp/index.ts';
import { OmniError, type WallTime } from '../core/index.ts';

export interface QueryOptions {
  readonly host: string;
  readonly port: number;
  readonly samples: number;
  readonly timeoutMs: number;
  readonly clock: { now(): WallTime };
  readonly correction: boolean;
  readonly maximumDistance: number;
  readonly key: NtpKey | undefined;
}

export interface QueryResult {
  readonly address: string;
  /** The clock's time when the best answer came. */
  readonly at: WallTime;
  readonly best: Measurement;
  readonly all: readonly Measurement[];
  readonly refused: Readonly<Record<string, number>>;
}

/** Throws OmniError when the name is unknown or no answer could be used; its message says which and why. */
export async function queryNtp(options: QueryOptions): Promise<QueryResult> {
  const { address } = await lookup(options.host).catch((cause) => {
    throw new OmniError('OMNI_NTP_NAME', `no address for '${options.host}'`, { cause });
  });
  const refused: Record<string, number> = {};
  const measurements: { at: WallTime; measurement: Measurement }[] = [];
  for (let i = 0; i < options.samples; i++) {
    const outcome = await askOnce(address, options);
    if (typeof outcome === 'string') refused[outcome] = (refused[outcome] ?? 0) + 1;
    else measurements.push(outcome);
    if (outcome === 'kissRate' || outcome === 'kissDeny') break;
  }
  if (measurements.length === 0) {
    const why = Object.entries(refused).map(([reason, count]) => `${reason} ${count}×`);
    throw new OmniError(
      'OMNI_NTP_NO_ANSWER',
      `no usable answer from ${options.host} port ${options.port}: ${why.join(', ')}`,
      {
        remedy: REMEDIES[Object.keys(refused)[0] as keyof typeof REMEDIES] ?? '',
      },
    );
  }
  const best = measurements.reduce((a, b) => (b.measurement.delay < a.measurement.delay ? b : a));
  return { address, at: best.at, best: best.measurement, all: measurements.map((m) => m.measurement), refused };
}

const REMEDIES = {
  timeout: 'is the server running, and the link up?',
  unreachable: 'nothing listens there.',
  unsynchronised: 'the server itself has no time yet.',
  rootDistance: 'the path is long; --max-distance SECONDS accepts more.',
  authentication: 'the keys differ.',
  cryptoNak: 'the server does not know this key.',
  kissOther: 'the server sent a kiss code: it has no time yet, or does not serve us.',
  kissDeny: 'the server refuses to serve us.',
  kissRate: 'the server asks for fewer requests; try again later.',
};

function askOnce(
  address: string,
  options: QueryOptions,
): Promise<{ at: WallTime; measurement: Measurement } | ReplyRefusal | 'timeout' | 'unreachable'> {
  return new Promise((resolve) => {
    const { clock } = options;
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const nonce = randomBytes(8).readBigUInt64BE();
    const exchange: Exchange = { nonce, lastNonce: undefined, sentAt: clock.now(), key: options.key };
    const request = makeRequest({ nonce, poll: 6, correction: options.correction, key: options.key });
    let last: ReplyRefusal | 'timeout' = 'timeout';
    const finish = (outcome: Parameters<typeof resolve>[0]) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish(last), options.timeoutMs);
    socket.on('error', () => finish('unreachable'));
    socket.on('message', (octets) => {
      const at = clock.now();
      const result = judgeReply(octets, exchange, at, {
        maximumDistance: options.maximumDistance,
        maximumDelay: options.timeoutMs / 1000,
        precision: 1e-6,
      });
      if (result.ok) finish({ at, measurement: result.value });
      // Strangers' packets do not end the wait; the server's own word does.
      else if (exchange.nonce === undefined) finish(result.reason);
      else last = result.reason;
    });
    socket.connect(options.port, address, () => {
      exchange.sentAt = clock.now();
      socket.send(request);
    });
  });
}
