/**
 * NTP on a node: a client that steers the node's clock, a server, or both (a relay's time service, which then serves the clock as
 * its client leaves it: stratum, root delay and dispersion follow).
 */
import { randomBytes } from 'node:crypto';
import {
  NtpClient,
  type NtpClientEvent,
  type NtpSettings,
  ntpSettings,
  referenceFromText,
  type SystemVariables,
  toNtpTimestamp,
} from '../../apps/ntp/index.ts';
import { type Instant, OmniError, Rng } from '../../core/index.ts';
import { hostClock, isNodeClock, type NodeClock } from '../../io/clock.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { NtpClientDriver } from '../../io/ntp-client.ts';
import { ntpKeys } from '../../io/ntp-keys.ts';
import { HOST_PRECISION, localReference } from '../../io/ntp-serve.ts';
import { NtpServerSocket } from '../../io/ntp-server.ts';
import { inContact, watchContacts } from '../contact-watch.ts';
import { NtpPolls } from '../ntp-polls.ts';
import { onboard } from '../onboard.ts';
import type { Service, ServiceContext } from '../service.ts';

export async function startNtp(
  context: ServiceContext,
): Promise<Service & { handleRequest(method: string, params: unknown): unknown }> {
  const settings = ntpSettings.parse(context.settings ?? {});
  const node = onboard(context);
  const client = settings.client === undefined ? undefined : startClient(context, settings, settings.client);
  const server =
    settings.server === undefined ? undefined : await startServer(context, settings, settings.server, client);
  const clock = context.clock;
  if (isNodeClock(clock)) {
    node.publish('clock', () => ({
      trueErrorSeconds: clock.error(),
      frequencyPpm: clock.model.frequency * 1e6,
      ...client?.reading(),
    }));
    const adjust = (amount: number): string => {
      if (client !== undefined) client.driver.input({ kind: 'adjust clock', seconds: amount });
      else clock.model.step(clock.instant(), amount);
      clock.save();
      return `clock stepped by ${amount} s`;
    };
    node.offer('clock.adjust', ({ seconds }) => adjust(Number(seconds)));
    node.offer('clock.set', ({ unixSeconds }) => {
      const wanted = BigInt(Math.round(Number(unixSeconds) * 1e6)) * 1000n;
      return adjust(Number(wanted - clock.now()) / 1e9);
    });
  }
  if (client !== undefined)
    node.offer('ntp.enable', ({ on }) => {
      client.driver.input({ kind: 'enable', on: Boolean(on) });
      return `ntp ${on ? 'on' : 'off'}`;
    });
  const status = () => ({
    ...(client && { client: { server: settings.client!.server, ...client.driver.client.status() } }),
    ...(isNodeClock(clock) && { trueErrorSeconds: clock.error(), tickSeconds: clock.model.tick }),
    ...(server && { server: { listening: server.address(), counters: server.server.counters.snapshot() } }),
  });
  return {
    name: 'ntp',
    status,
    handleRequest: (method, params) => {
      if (method === 'status') return status();
      if (method === 'polls') {
        const { after } = (params ?? {}) as { after?: unknown };
        return { ...status(), inContact: inContact(context), polls: client?.polls.after(Number(after) || 0) ?? [] };
      }
      const action =
        method === 'enable' ? node.action('ntp.enable') : method === 'adjust' ? node.action('clock.adjust') : undefined;
      if (action === undefined) throw new OmniError('OMNI_REQUEST', `NTP on ${context.node} cannot '${method}'`);
      return action((params ?? {}) as Record<string, unknown>);
    },
    close: async () => {
      for (const name of ['ntp.enable', 'clock.adjust', 'clock.set']) node.withdraw(name);
      node.silence('clock');
      client?.close();
      await server?.close();
    },
  };
}

type RunningClient = ReturnType<typeof startClient>;

function startClient(context: ServiceContext, settings: NtpSettings, own: NonNullable<NtpSettings['client']>) {
  const clock = context.clock;
  if (!isNodeClock(clock))
    throw new OmniError('OMNI_CLOCK', `${context.node} has the host's clock, which an NTP client must not steer`, {
      remedy: `give ${context.node} a clock of its own: clock: { driftPpm: 20, tickMs: 10 }`,
    });
  const { host, port } = parseHostPort(own.server, 123);
  // Asked before the clock is: the plan reads the same clock, and a clock is never read backwards.
  const up = inContact(context);
  const client = new NtpClient({
    settings: own,
    clock: clock.model,
    rng: new Rng(randomBytes(16).toString('hex'), 'ntp/nonce'),
    now: clock.instant(),
    key: keyOf(settings, own.keyId),
    up,
  });
  const polls = new NtpPolls();
  const driver = new NtpClientDriver(client, {
    host,
    port,
    instant: () => clock.instant(),
    onEvent: (event) => {
      polls.add(event, Number(clock.host.now() / 1_000_000n), clock.error());
      // What was done to the clock survives a process that is killed.
      if (event.kind === 'sample' && event.verdict.kind !== 'ignored') clock.save();
      const line = describe(event);
      if (line !== undefined) context.log(line);
    },
  });
  // Contacts follow the plan, in the node's own time.
  const unwatch = watchContacts(context, (now) => driver.input({ kind: 'contact', up: now }));
  return {
    driver,
    clock,
    polls,
    /** For telemetry: what the client itself believes. */
    reading: () => {
      const status = client.status();
      return {
        ntpEnabled: client.enabled,
        reportedOffsetSeconds: status.offsetSeconds as number | undefined,
        stratum: status.stratum as number,
      };
    },
    close: () => {
      unwatch();
      driver.close();
    },
  };
}

function keyOf(settings: NtpSettings, id: number | undefined) {
  if (id === undefined) return undefined;
  const key = ntpKeys(settings.keys).get(id);
  if (key === undefined)
    throw new OmniError('OMNI_KEY', `there is no NTP key ${id}`, { remedy: 'add it under ntp: keys:' });
  return key;
}

async function startServer(
  context: ServiceContext,
  settings: NtpSettings,
  own: NonNullable<NtpSettings['server']>,
  client: RunningClient | undefined,
): Promise<NtpServerSocket> {
  const { host, port } = parseHostPort(own.listen, 123);
  const clock = isNodeClock(context.clock) ? context.clock : hostClock();
  return NtpServerSocket.listen({
    ...own,
    address: host,
    port,
    keys: ntpKeys(settings.keys),
    clock,
    system: client === undefined ? localReference(own, clock) : followingClient(client),
  });
}

/** RFC 5905 §11.1: what a server below stratum 1 says of itself. */
function followingClient({
  driver,
  clock,
}: {
  driver: NtpClientDriver;
  clock: NodeClock;
}): (now: Instant) => SystemVariables {
  return (now) => {
    const synchronisation = driver.client.synchronisation(now);
    const reference = clock.model.read(now) - BigInt(now - (synchronisation?.updatedAt ?? now));
    return {
      synchronised: synchronisation !== undefined,
      stratum: synchronisation?.stratum ?? 16,
      rootDelay: synchronisation?.rootDelay ?? 0,
      rootDispersion: (synchronisation?.rootDispersion ?? 16) + clock.model.tick,
      referenceId: driver.serverAddress ?? referenceFromText('INIT'),
      reference: toNtpTimestamp(reference as ReturnType<NodeClock['now']>),
      precision: Math.max(HOST_PRECISION, Math.ceil(Math.log2(Math.max(clock.model.tick, 2 ** HOST_PRECISION)))),
    };
  };
}

function describe(event: NtpClientEvent): string | undefined {
  switch (event.kind) {
    case 'sample': {
      const { offset, delay, correction } = event.measurement;
      const held = correction.requestSeconds + correction.replySeconds;
      return `ntp offset=${offset.toFixed(6)} delay=${delay.toFixed(6)} corrected=${held.toFixed(6)} verdict=${event.verdict.kind}`;
    }
    case 'refused':
      return `ntp refused=${event.reason}`;
    case 'stopped':
      return `ntp stopped=${event.why}`;
    case 'unanswered':
      return undefined;
  }
}
