/**
 * Mobile IP: registrations of a home agent with 1,000 mobile nodes, without and with its journal on disk, and datagrams through its
 * tunnel, without the kernel (`npm run bench:mip` has the tunnel with it).
 */
import { createHmac } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Instant, PacketPool, seconds, type WallTime } from '../src/core/index.js';
import { BindingStore } from '../src/io/mobileip-store.js';
import { emitIpv4Packet, PROTOCOL } from '../src/ip/index.js';
import {
  authenticate,
  emitRegistrationRequest,
  encapsulate,
  HOME_AGENT_DEFAULTS,
  HomeAgent,
  HomeAgentTunnel,
  ntpTimestamp,
  SecurityAssociations,
  TunnelState,
} from '../src/mobileip/index.js';
import type { Benchmark } from './benchmark.js';

const MOBILE_NODES = 1000;
const HOME_AGENT = 0x0a000001;
const CARE_OF = 0x0a010002;
const CORRESPONDENT = 0xc000020a;
const OCTETS = 1480;
const BATCH = 64;

export function benchmarks(): Benchmark[] {
  return [registrations(), storedRegistrations(), tunnel('forward'), tunnel('reverse')];
}

const homeAddress = (i: number): number => 0x0a090000 + 2 + i;
const wallTime = (now: Instant): WallTime => (1_042_731_540_000_000_000n + BigInt(Math.round(now))) as WallTime;
const hmac = (_: string, key: Uint8Array, data: Uint8Array): Uint8Array => createHmac('md5', key).update(data).digest();

function homeAgent(store?: BindingStore) {
  const association = {
    spi: 1000,
    algorithm: 'hmac-md5',
    key: new Uint8Array(16).fill(3),
    replay: 'timestamp',
  } as const;
  const mobileAssociations = new SecurityAssociations();
  const mobileNodes = Array.from({ length: MOBILE_NODES }, (_, i) => {
    mobileAssociations.add(homeAddress(i), association);
    return { homeAddress: homeAddress(i), networks: [], implicitNetworks: false, mobileRouter: false, enabled: true };
  });
  const agent = new HomeAgent({
    ...HOME_AGENT_DEFAULTS,
    address: HOME_AGENT,
    homeNetwork: { address: 0x0a090000, length: 16 },
    mobileNodes,
    mobileAssociations,
    foreignAssociations: new SecurityAssociations(),
    wallTime,
    hmac,
    random: () => 7,
  });
  let now = seconds(1) as number as Instant;
  const register = (i: number): void => {
    now = (now + 1000) as Instant;
    const writer = emitRegistrationRequest({
      lifetime: 600,
      reverseTunnel: true,
      homeAddress: homeAddress(i),
      homeAgent: HOME_AGENT,
      careOfAddress: CARE_OF,
      identification: ntpTimestamp(wallTime(now)),
    });
    authenticate(writer, 32, association, hmac);
    const from = { source: CARE_OF, sourcePort: 434, destination: HOME_AGENT, destinationPort: 434, timeToLive: 60 };
    agent.handleInput({ ...from, payload: writer.finish() }, now);
    while (agent.pollTransmit() !== undefined);
    for (let event = agent.pollEvent(); event !== undefined; event = agent.pollEvent()) {
      if (event.kind !== 'bound') continue;
      const { binding, replay } = event;
      const { homeAddress } = binding;
      store?.save({ homeAddress, replay, bindings: agent.bindings.of(homeAddress) }, now);
    }
  };
  return { agent, register };
}

/** One request made, authenticated, checked, bound and answered. */
function registrations(): Benchmark {
  const { agent, register } = homeAgent();
  let next = 0;
  return {
    name: 'registrations, 1,000 mobile nodes',
    unit: 'registration',
    unitsPerRun: BATCH,
    run() {
      for (let i = 0; i < BATCH; i++) register(next++ % MOBILE_NODES);
      return agent.bindings.size;
    },
  };
}

/** The same, with the line in the journal that is written before the reply leaves. */
function storedRegistrations(): Benchmark {
  const { agent, register } = homeAgent(
    new BindingStore(join(mkdtempSync(join(tmpdir(), 'omni-bench-')), 'bindings.jsonl')),
  );
  let next = 0;
  return {
    name: 'registrations, 1,000 mobile nodes, journal',
    unit: 'registration',
    unitsPerRun: BATCH,
    run() {
      for (let i = 0; i < BATCH; i++) register(next++ % MOBILE_NODES);
      return agent.bindings.size;
    },
  };
}

function tunnel(direction: 'forward' | 'reverse'): Benchmark {
  const { agent, register } = homeAgent();
  for (let i = 0; i < MOBILE_NODES; i++) register(i);
  const pool = new PacketPool({ capacity: 256, slotOctets: 2304 });
  let sent = 0;
  const path = new HomeAgentTunnel({
    address: HOME_AGENT,
    pool,
    state: new TunnelState(1500),
    bindings: agent.bindings,
    carriesOwnDatagrams: true,
    send: (packet) => {
      sent += packet.length;
      pool.release(packet);
    },
  });
  const payload = new Uint8Array(OCTETS - 20);
  const datagrams = Array.from({ length: BATCH }, (_, i) => {
    const home = homeAddress((i * 37) % MOBILE_NODES);
    const [source, destination] = direction === 'forward' ? [CORRESPONDENT, home] : [home, CORRESPONDENT];
    const inner = emitIpv4Packet({ source, destination, protocol: PROTOCOL.udp, dontFragment: true, payload });
    if (direction === 'forward') return inner;
    const packet = pool.copyOf(inner)!;
    encapsulate(packet, CARE_OF, HOME_AGENT);
    const outer = packet.view().slice();
    pool.release(packet);
    return outer;
  });
  const now = seconds(2) as number as Instant;
  return {
    name: direction === 'forward' ? 'home agent, into the tunnel' : 'home agent, out of the tunnel',
    unit: 'octet',
    unitsPerRun: BATCH * OCTETS,
    run() {
      sent = 0;
      for (const datagram of datagrams) {
        const packet = pool.copyOf(datagram)!;
        if (direction === 'forward') path.intercept(packet, now);
        else path.receive(packet, now);
      }
      return sent;
    },
  };
}
