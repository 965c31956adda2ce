/**
 * The clock, the client, a ground server and a serial link with contacts, in virtual time, with the truth known.
 * What it measures is what flight cannot: the clock's true error beside the offset that the client reports.
 *
 * The link is a model of the one thing that matters here: time on the line. Octets are those of the real packets in IPv4, UDP,
 * Frame Relay and FCS-16 (RFC 2427: 7 octets with one flag), serialised at the rate, without bit stuffing (1.6 % on average).
 */
import { type Instant, instant, NEVER, Rng, type WallTime } from '../../core/index.ts';
import { NtpClient, type NtpClientEvent } from './client.ts';
import { SpacecraftClock } from './clock-model.ts';
import { type CorrectionMode, clockSettings, ntpClientSettings } from './config.ts';
import { LinkCorrector } from './correction.ts';
import { NTP_PORT, referenceFromText } from './packet.ts';
import { NtpServer } from './server.ts';
import { toNtpTimestamp } from './timestamp.ts';

export interface SimulatedLink {
  /** The client is on board: its requests go down and the replies come up. */
  readonly upBitPerSec: number;
  readonly downBitPerSec: number;
  readonly propagationSeconds: number;
  /** Standard deviation of what each direction adds at random, seconds; normal, never below zero in sum. Not seen by the link. */
  readonly jitterSeconds: number;
  /** Mean of an exponential wait in the link's queue, each way; the link knows it. */
  readonly queueSeconds: number;
  readonly correction: CorrectionMode;
}

export interface Schedule {
  /** Length of a pass and time from one to the next, seconds; a pass as long as its period is a link that is always up. */
  readonly passSeconds: number;
  readonly periodSeconds: number;
}

export interface Scripted {
  readonly atSeconds: number;
  readonly action:
    | { readonly kind: 'enable'; readonly on: boolean }
    | { readonly kind: 'adjust clock'; readonly seconds: number };
}

export interface Simulation {
  readonly seed: number | string;
  readonly seconds: number;
  readonly clock?: Parameters<typeof clockSettings.parse>[0];
  readonly client?: Partial<Parameters<typeof ntpClientSettings.parse>[0] & object>;
  readonly link?: Partial<SimulatedLink>;
  readonly schedule?: Schedule;
  readonly script?: readonly Scripted[];
  /** How often the true error is noted. */
  readonly sampleSeconds?: number;
}

export interface TracePoint {
  readonly seconds: number;
  /** What the clock shows minus the truth, seconds. */
  readonly trueError: number;
}
export interface ReportedOffset {
  readonly seconds: number;
  /** The client's own word: server minus clock, seconds. */
  readonly offset: number;
  readonly verdict: string;
  /** The true error just before the sample was used, and after. */
  readonly errorBefore: number;
  readonly errorAfter: number;
}

export interface SimulationResult {
  readonly trace: readonly TracePoint[];
  readonly reported: readonly ReportedOffset[];
  readonly counters: Record<string, number>;
  readonly status: Record<string, unknown>;
}

/** 2000-04-14T12:00:00Z would be the day; eras begin with this software, so the simulated one is later. */
const SIMULATED_START = 1_800_000_000_000_000_000n as WallTime;
const IP_UDP_OCTETS = 28;
const FRAMING_OCTETS = 7;
const CLIENT_ADDRESS = 0x0a000002;
const SERVER_ADDRESS = 0x0a000001;
const CLIENT_PORT = 49152;

export function simulate(options: Simulation): SimulationResult {
  const link: SimulatedLink = {
    upBitPerSec: 1e6,
    downBitPerSec: 1e6,
    propagationSeconds: 0.005,
    jitterSeconds: 0,
    queueSeconds: 0,
    correction: 'off',
    ...options.link,
  };
  const schedule = options.schedule ?? { passSeconds: 1, periodSeconds: 1 };
  const always = schedule.passSeconds >= schedule.periodSeconds;
  const rng = new Rng(options.seed, 'link');
  const clock = new SpacecraftClock(
    clockSettings.parse(options.clock ?? {}),
    SIMULATED_START,
    instant(0),
    options.seed,
  );
  const settings = ntpClientSettings.parse({ server: 'ground', ...options.client });
  const client = new NtpClient({ settings, clock, rng: new Rng(options.seed, 'nonce'), now: instant(0), up: true });
  const server = new NtpServer({ keys: new Map(), requireKey: false, rateLimitSeconds: 0, rateLimitBurst: 1 });
  const corrector = new LinkCorrector(link.correction);
  const trace: TracePoint[] = [];
  const reported: ReportedOffset[] = [];
  const script = [...(options.script ?? [])].sort((a, b) => a.atSeconds - b.atSeconds);
  /** In flight: at most a handful, so a sorted array will do. */
  const flights: { at: number; toServer: boolean; datagram: Uint8Array; held: number }[] = [];
  // Not a multiple of any tick: a clock read only on its ticks would seem to have no error.
  const sampleEvery = Math.round((options.sampleSeconds ?? 10) * 1.000_37e9) + 7;
  const end = options.seconds * 1e9;
  let now = 0;
  let nextSample = 0;

  const isUp = (at: number) => always || at % (schedule.periodSeconds * 1e9) < schedule.passSeconds * 1e9;
  const nextContactChange = (at: number): number => {
    if (always) return NEVER;
    const period = schedule.periodSeconds * 1e9;
    const base = Math.floor(at / period) * period;
    return at - base < schedule.passSeconds * 1e9 ? base + schedule.passSeconds * 1e9 : base + period;
  };
  const shownError = (at: number) => Number(clock.read(at as Instant) - clock.trueTime(at as Instant)) / 1e9;

  const launch = (payload: Uint8Array, toServer: boolean) => {
    if (!isUp(now)) return;
    const rate = toServer ? link.downBitPerSec : link.upBitPerSec;
    const serialisation = ((payload.length + IP_UDP_OCTETS + FRAMING_OCTETS) * 8) / rate;
    const held = serialisation + (link.queueSeconds > 0 ? link.queueSeconds * rng.exponential() : 0);
    const jitter = link.jitterSeconds > 0 ? link.jitterSeconds * rng.normal() : 0;
    const delay = Math.max(0, held + link.propagationSeconds + jitter);
    flights.push({ at: Math.round(now + delay * 1e9), toServer, datagram: datagramOf(payload, toServer), held });
    flights.sort((a, b) => a.at - b.at);
  };
  const drain = () => {
    for (let out = client.pollTransmit(); out !== undefined; out = client.pollTransmit()) launch(out, true);
  };
  const events = (errorBefore: number) => {
    for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent())
      if (event.kind === 'sample') reported.push(reportOf(event, now, errorBefore, shownError(now)));
  };

  let contactAt = nextContactChange(0);
  while (now < end) {
    const candidates = [
      end,
      nextSample,
      flights[0]?.at ?? NEVER,
      client.pollTimeout()?.at ?? NEVER,
      contactAt,
      script[0] === undefined ? NEVER : script[0].atSeconds * 1e9,
    ];
    now = Math.max(now, Math.min(...candidates));
    const at = now as Instant;
    if (now >= contactAt) {
      client.handleInput({ kind: 'contact', up: isUp(now) }, at);
      contactAt = nextContactChange(now);
    }
    while (script[0] !== undefined && script[0].atSeconds * 1e9 <= now) client.handleInput(script.shift()!.action, at);
    while (flights[0] !== undefined && flights[0].at <= now) {
      const flight = flights.shift()!;
      if (!isUp(now)) continue;
      corrector.correct(flight.datagram, flight.held);
      const payload = flight.datagram.subarray(IP_UDP_OCTETS);
      if (flight.toServer) {
        const wall = toNtpTimestamp(clock.trueTime(at));
        const reply = server.answer(payload, GROUND, {
          source: 'spacecraft',
          receivedAt: wall,
          transmitAt: () => wall,
          now: at,
        });
        if (reply !== undefined) launch(reply, false);
      } else {
        const before = shownError(now);
        client.handleInput({ kind: 'reply', octets: payload }, at);
        events(before);
      }
    }
    const due = client.pollTimeout();
    if (due !== undefined && due.at <= now) client.handleTimeout(at);
    drain();
    events(0);
    if (now >= nextSample) {
      trace.push({ seconds: now / 1e9, trueError: shownError(now) });
      nextSample += sampleEvery;
    }
  }
  return { trace, reported, counters: client.counters.snapshot(), status: client.status() };
}

/** Root mean square of the true error from `fromSeconds` on, seconds. */
export function rootMeanSquare(trace: readonly TracePoint[], fromSeconds = 0): number {
  const points = trace.filter((p) => p.seconds >= fromSeconds);
  return Math.sqrt(points.reduce((sum, p) => sum + p.trueError ** 2, 0) / points.length);
}

const GROUND = {
  synchronised: true,
  stratum: 1,
  rootDelay: 0,
  rootDispersion: 0.0001,
  referenceId: referenceFromText('OMNI'),
  reference: toNtpTimestamp(SIMULATED_START),
  precision: -20,
};

function reportOf(
  event: Extract<NtpClientEvent, { kind: 'sample' }>,
  now: number,
  errorBefore: number,
  errorAfter: number,
): ReportedOffset {
  return {
    seconds: now / 1e9,
    offset: event.measurement.offset,
    verdict: event.verdict.kind,
    errorBefore,
    errorAfter,
  };
}

/** The payload in IPv4 and UDP, without checksums: what the link's corrector looks at. */
function datagramOf(payload: Uint8Array, toServer: boolean): Uint8Array {
  const octets = new Uint8Array(IP_UDP_OCTETS + payload.length);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, octets.length);
  view.setUint8(8, 64);
  view.setUint8(9, 17);
  view.setUint32(12, toServer ? CLIENT_ADDRESS : SERVER_ADDRESS);
  view.setUint32(16, toServer ? SERVER_ADDRESS : CLIENT_ADDRESS);
  view.setUint16(20, toServer ? CLIENT_PORT : NTP_PORT);
  view.setUint16(22, toServer ? NTP_PORT : CLIENT_PORT);
  view.setUint16(24, payload.length + 8);
  octets.set(payload, IP_UDP_OCTETS);
  return octets;
}
