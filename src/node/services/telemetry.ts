/**
 * Telemetry on a node: the downlink of a spacecraft, which asks its node's other services for their readings, or the recorder of a
 * ground station.
 */
import { readFileSync, statfsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Downlink,
  type DownlinkSettings,
  type RecorderSettings,
  SPACECRAFT,
  TELEMETRY_PORT,
  telemetrySettings,
  type Value,
} from '../../apps/telemetry/index.ts';
import { hostClock } from '../../io/clock.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { DownlinkDriver } from '../../io/telemetry-downlink.ts';
import { TelemetryRecorder } from '../../io/telemetry-recorder.ts';
import { TelemetryStoreFile } from '../../io/telemetry-store.ts';
import { inContact, watchContacts } from '../contact-watch.ts';
import { onboard } from '../onboard.ts';
import type { Service, ServiceContext } from '../service.ts';

const STORAGE_CHECK_MS = 500;
/** Of the simulated temperature and voltage. */
const ORBIT_SECONDS = 5700;

export async function startTelemetry(context: ServiceContext): Promise<Service> {
  const settings = telemetrySettings.parse(context.settings ?? {});
  const downlink = settings.downlink === undefined ? undefined : await startDownlink(context, settings.downlink);
  const recorder = settings.recorder === undefined ? undefined : await startRecorder(context, settings.recorder);
  return {
    name: 'telemetry',
    status: () => ({
      ...(downlink && { downlink: downlink.status() }),
      ...(recorder && { recorder: recorder.status() }),
    }),
    close: async () => {
      await downlink?.close();
      await recorder?.close();
    },
  };
}

function startRecorder(context: ServiceContext, own: RecorderSettings): Promise<TelemetryRecorder> {
  const { host, port } = parseHostPort(own.listen, TELEMETRY_PORT);
  return TelemetryRecorder.start({
    address: host,
    port,
    group: own.group,
    directory: own.directory ?? join(context.stateDirectory, 'telemetry'),
    segmentOctets: own.segmentOctets,
    clock: context.clock,
  });
}

async function startDownlink(context: ServiceContext, own: DownlinkSettings) {
  const node = onboard(context);
  const host = hostClock();
  const { host: to, port } = parseHostPort(own.to, TELEMETRY_PORT);
  const storage = new StorageReading(join(context.stateDirectory, 'files'));
  node.publish('link', () => ({ ...linkReading(), inContact: inContact(context) }));
  const store = new TelemetryStoreFile(join(context.stateDirectory, 'telemetry-store'), own.storeOctets);
  const downlink: Downlink = new Downlink({
    state: store.read(),
    dictionary: SPACECRAFT,
    settings: own,
    now: host.instant(),
    up: inContact(context),
    port: {
      time: () => context.clock.now(),
      read: (packet) => {
        if (packet === 'housekeeping') return { ...housekeeping(), ...node.read('command') };
        if (packet === 'storage') return { ...storage.read(), ...downlink.status() };
        return node.read(packet) as Readonly<Record<string, Value | undefined>> | undefined;
      },
    },
  });
  store.rewrite(downlink.state());
  const driver = await DownlinkDriver.start(downlink, {
    store,
    host: to,
    port,
    multicastHops: own.multicastHops,
    instant: () => host.instant(),
  });
  node.offer('telemetry.interval', ({ apid, seconds }) => {
    if (!SPACECRAFT.packets.some((p) => p.apid === Number(apid)))
      throw new Error(`there is no packet with APID ${apid}`);
    driver.input({ kind: 'interval', apid: Number(apid), seconds: Number(seconds) });
    return `APID ${apid} every ${Number(seconds)} s`;
  });
  node.offer('telemetry.replay', ({ seconds }) => {
    driver.input({ kind: 'replay', seconds: Number(seconds) });
    return `${downlink.status().storedPackets} packets to send again`;
  });
  node.offer('telemetry.report', (values) => {
    driver.input({ kind: 'packet', name: 'verification', values: values as Readonly<Record<string, Value>> });
    return 'reported';
  });
  const unwatch = watchContacts(context, (up) => driver.input({ kind: 'contact', up }));
  const timer = setInterval(() => void storage.refresh(), STORAGE_CHECK_MS);
  return {
    status: () => ({ to: `${to}:${port}`, ...downlink.status(), counters: driver.counters.snapshot() }),
    close: async () => {
      unwatch();
      clearInterval(timer);
      for (const name of ['telemetry.interval', 'telemetry.replay', 'telemetry.report']) node.withdraw(name);
      node.silence('link');
      await driver.close();
    },
  };
}

let lastProcessor = { used: process.cpuUsage(), at: process.hrtime.bigint() };

function housekeeping(): Record<string, Value> {
  const used = process.cpuUsage();
  const at = process.hrtime.bigint();
  const micros = used.user + used.system - lastProcessor.used.user - lastProcessor.used.system;
  const load = at > lastProcessor.at ? (micros * 1e5) / Number(at - lastProcessor.at) : 0;
  lastProcessor = { used, at };
  const phase = (2 * Math.PI * Number(at / 1_000_000n)) / (ORBIT_SECONDS * 1000);
  return {
    mode: 'nominal',
    uptimeSeconds: Math.floor(process.uptime()),
    boardTemperature: 15 + 12 * Math.sin(phase),
    busVoltage: 28 + 1.5 * Math.sin(phase + 1),
    processorLoad: load,
    memoryOctets: process.memoryUsage.rss(),
  };
}

/** The node's TUN device, which is its space link; zeros when there is none. */
function linkReading(): Record<string, Value> {
  let lines: string[];
  try {
    lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n').slice(2);
  } catch {
    return {};
  }
  const device = lines
    .map((line) => line.trim().split(/[:\s]+/))
    .find(([name]) => name !== undefined && name !== '' && name !== 'lo');
  if (device === undefined) return {};
  const [, octetsIn, packetsIn, errorsIn, , , , , , octetsOut, packetsOut, , droppedOut] = device.map(Number);
  return {
    octetsIn: octetsIn ?? 0,
    packetsIn: packetsIn ?? 0,
    errorsIn: errorsIn ?? 0,
    octetsOut: octetsOut ?? 0,
    packetsOut: packetsOut ?? 0,
    droppedOut: droppedOut ?? 0,
  };
}

/** Counting files takes time, so it is done beside and the last result is what telemetry shows. */
class StorageReading {
  readonly #folder: string;
  #busy = false;
  #files = 0;
  #octets = 0;

  constructor(folder: string) {
    this.#folder = folder;
    void this.refresh();
  }

  read(): Record<string, Value> {
    let freeOctets = 0;
    try {
      const { bavail, bsize } = statfsSync(this.#folder);
      freeOctets = bavail * bsize;
    } catch {
      // No such folder: this node serves no files.
    }
    return { files: this.#files, usedOctets: this.#octets, freeOctets };
  }

  async refresh(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const names = await readdir(this.#folder, { recursive: true });
      const sizes = await Promise.all(names.map((name) => stat(join(this.#folder, name)).catch(() => undefined)));
      const files = sizes.filter((s) => s?.isFile());
      this.#files = files.length;
      this.#octets = files.reduce((sum, s) => sum + s!.size, 0);
    } catch {
      this.#files = 0;
      this.#octets = 0;
    } finally {
      this.#busy = false;
    }
  }
}
