/**
 * The link daemon of a testbed: opens the TUN devices inside the namespaces, runs the data plane on them, starts the app
 * processes and serves the control socket. `omni up` drives it over IPC (`open-tuns`, `start`, `stay`); before `stay` it ends
 * when its parent does, from then on when it is told to (SIGTERM), and its app processes with it.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { METRICS_CONTENT_TYPE, metricsText } from '../console/metrics.ts';
import { OmniError } from '../core/index.ts';
import { formatListenAddress, type ListenAddress, serveMetrics } from '../io/metrics-server.ts';
import { loadNative, type Native } from '../io/native.ts';
import type { Recorder } from '../io/recorder.ts';
import { captureStream } from '../node/capture-stream.ts';
import { createDataPlane, type DataPlane, type DataPlaneStatus } from '../node/data-plane.ts';
import { lineSources } from '../node/line-sources.ts';
import { createRecorder, setRecorderClock } from '../node/recording.ts';
import type { ResolvedContacts, ResolvedScenario } from '../scenario/resolved.ts';
import { AppSupervisor, type SupervisedStatus } from './app-supervisor.ts';
import { AppProcess, type NodeContacts } from './apps.ts';
import { answerParent } from './child.ts';
import { serveControl } from './control.ts';
import { parseLinkChanges } from './link-change.ts';
import { fileLog } from './log.ts';
import type { LinkContacts } from './route-changes.ts';
import type { RouteWorkerData } from './route-worker.ts';
import { NETNS_DIRECTORY, type TestbedPaths } from './run-directory.ts';

/** What the control request `status` answers. */
export interface DaemonStatus {
  readonly pid: number;
  readonly realtime: boolean;
  /** Where the metrics are served, when they are. */
  readonly metrics?: string;
  readonly scenario: ResolvedScenario;
  readonly dataPlane: DataPlaneStatus;
  readonly apps: readonly SupervisedStatus[];
}

/** Below this the kernel's own threads stay; above ordinary programs, so that a busy machine does not delay bits. */
const REALTIME_PRIORITY = 10;
const CONTACTS_AHEAD = 64;
const CONTACTS_INTERVAL_MILLISECONDS = 60_000;
const APP_GRACE_MILLISECONDS = 2000;

export class Daemon {
  readonly #paths: TestbedPaths;
  #scenario: ResolvedScenario;
  readonly #native: Native;
  readonly #log: (line: string) => void;
  readonly #tuns = new Map<string, { fd: number; name: string }>();
  #recorder: Recorder;
  #dataPlane: DataPlane | undefined;
  #apps: readonly AppSupervisor[] = [];
  #realtime = false;
  #metrics: string | undefined;
  #stays = false;
  #stopping = false;

  static async run(paths: TestbedPaths): Promise<Daemon> {
    const scenario = JSON.parse(readFileSync(paths.scenario, 'utf8')) as ResolvedScenario;
    return new Daemon(paths, scenario, await loadNative());
  }

  private constructor(paths: TestbedPaths, scenario: ResolvedScenario, native: Native) {
    this.#paths = paths;
    this.#scenario = scenario;
    this.#native = native;
    this.#log = fileLog(paths.daemonLog);
    this.#recorder = createRecorder(scenario);
    process.on('SIGTERM', () => void this.#stop('SIGTERM'));
    process.on('SIGINT', () => void this.#stop('SIGINT'));
    process.on('SIGHUP', () => {});
    process.on('disconnect', () => {
      if (!this.#stays) void this.#stop('omni up ended before the testbed was up');
    });
    // It may have ended while this program was loading, before anybody listened.
    if (!process.connected) void this.#stop('omni up ended before the daemon was up');
    answerParent((request, params) => {
      if (request === 'open-tuns') return this.#openTuns();
      if (request === 'start') return this.#start();
      if (request === 'serve-metrics') return this.#serveMetrics(params as ListenAddress);
      if (request === 'stay') {
        this.#stays = true;
        return true;
      }
      throw new OmniError('OMNI_REQUEST', `unknown request '${request}'`);
    });
  }

  #openTuns(): number {
    for (const { name, namespace, tun } of this.#scenario.nodes) {
      if (tun === undefined) continue;
      const netns = join(NETNS_DIRECTORY, namespace);
      try {
        const { fd } = this.#native.openTun({ name: tun.name, netns, vnetHeader: this.#scenario.offloads });
        this.#tuns.set(name, { fd, name: tun.name });
      } catch (cause) {
        throw new OmniError('OMNI_TUN_OPEN', (cause as Error).message, { cause });
      }
    }
    return this.#tuns.size;
  }

  #startDataPlane(): void {
    this.#dataPlane = createDataPlane({
      scenario: this.#scenario,
      tuns: this.#tuns,
      native: this.#native,
      sources: lineSources(this.#scenario),
      tap: this.#recorder,
      holdDirectory: this.#holdDirectory(),
      log: this.#log,
    });
    this.#realtime = process.env.OMNI_REALTIME !== '0' && this.#native.setRealtimePriority(REALTIME_PRIORITY);
    this.#dataPlane.start();
    setRecorderClock(this.#recorder, this.#dataPlane.now());
  }

  /**
   * The same links and routers anew from instant 0, with the errors of another seed: what a new testbed would have. Packets on
   * the links are gone, those that wait in the kernels' queues are not: call it when the connections have ended.
   */
  #restartDataPlane(seed: string): void {
    this.#dataPlane?.stop();
    this.#relax();
    this.#scenario = { ...this.#scenario, seed };
    this.#recorder = createRecorder(this.#scenario);
    this.#startDataPlane();
  }

  /** An ordinary program again: long work of this daemon's (a capture read out) must not hold up other testbeds' daemons. */
  #relax(): void {
    if (this.#realtime) this.#native.setRealtimePriority(0);
    this.#realtime = false;
  }

  async #start(): Promise<{ node: string; services: readonly string[] }[]> {
    this.#native.lockMemory();
    this.#startDataPlane();
    await serveControl(this.#paths.controlSocket, (method, params) => this.#handle(method, params));
    this.#apps = this.#scenario.nodes
      .filter((node) => Object.keys(node.services).length > 0)
      .map(
        (node) =>
          new AppSupervisor({
            node,
            launch: () =>
              new AppProcess(node, this.#paths, (request, params) => this.#answerApp(node.name, request, params)),
            contacts: () => this.#contactsOf(node.name),
            log: this.#log,
          }),
      );
    const services = await Promise.all(
      this.#apps.map(async (app) => ({ node: app.node.name, services: await app.start() })),
    );
    const routes = this.#followContacts();
    setInterval(() => {
      for (const app of this.#apps) app.tellContacts();
      routes?.postMessage(this.#linkContacts());
    }, CONTACTS_INTERVAL_MILLISECONDS).unref();
    this.#log(
      `event=started pid=${process.pid} realtime=${this.#realtime} tuns=${this.#tuns.size} apps=${this.#apps.length}`,
    );
    return services;
  }

  /** Kernel routes that follow the contacts, when there are any. */
  #followContacts(): Worker | undefined {
    const contacts = this.#linkContacts();
    if (contacts.every(({ directions }) => directions.every((list) => list === undefined))) return undefined;
    const workerData: RouteWorkerData = { scenario: this.#scenario, origin: this.#dataPlane!.origin, contacts };
    const worker = new Worker(new URL('./route-worker.js', import.meta.url), { workerData });
    worker.on('message', this.#log);
    worker.on('error', (error) => this.#log(`event=routes-stopped error=${JSON.stringify(error.message)}`));
    worker.unref();
    return worker;
  }

  #linkContacts(): LinkContacts[] {
    const of = (link: string, direction: 'up' | 'down') => this.#dataPlane!.contacts(link, direction, CONTACTS_AHEAD);
    return this.#scenario.links.map(({ name }) => ({ link: name, directions: [of(name, 'up'), of(name, 'down')] }));
  }

  /** Packets held on disk outlive the testbed, as files and mail do. */
  #holdDirectory(): string {
    const directory = join(this.#paths.state, 'held');
    const used = this.#scenario.nodes.some((node) =>
      node.classes?.some((each) => typeof each.hold === 'object' && each.hold.storage === 'disk'),
    );
    if (used) mkdirSync(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  /** Answers with the address, whose port the kernel may have chosen. */
  async #serveMetrics(wanted: ListenAddress): Promise<string> {
    const { name } = this.#scenario;
    const { address } = await serveMetrics(wanted, METRICS_CONTENT_TYPE, async () =>
      metricsText(name, await this.#status()),
    );
    this.#metrics = formatListenAddress(address);
    return this.#metrics;
  }

  #handle(method: string, params: Readonly<Record<string, unknown>>): unknown {
    const dataPlane = this.#dataPlane!;
    switch (method) {
      case 'status':
        return this.#status();
      case 'set-link': {
        const changes = parseLinkChanges((params.changes ?? {}) as Record<string, unknown>);
        for (const { direction, change } of changes) dataPlane.setLink(String(params.link), direction, change);
        return changes.length;
      }
      case 'restart':
        this.#restartDataPlane(String(params.seed));
        return true;
      case 'relax':
        this.#relax();
        return true;
      case 'capture':
        return captureStream(this.#recorder, params);
      case 'set-routes':
        dataPlane.setRoutes(
          String(params.node),
          String(params.owner),
          params.routes as { prefix: string; link?: string }[],
          params.keep === true,
        );
        return true;
      case 'contacts':
        return this.#contacts(params);
      case 'service': {
        const app = this.#apps.find((a) => a.node.name === params.node);
        if (app === undefined)
          throw new OmniError('OMNI_NO_SERVICE', `there is no node '${params.node}' with services`);
        return app.request(String(params.service), String(params.method), params.params);
      }
      default:
        throw new OmniError('OMNI_REQUEST', `unknown request '${method}'`);
    }
  }

  /** The narrow port of an app process to the data plane: it may change the rates at which its own node sends to the ground. */
  #answerApp(node: string, request: string, params: unknown): unknown {
    if (request !== 'set-return-rate') throw new OmniError('OMNI_REQUEST', `unknown request '${request}'`);
    const rateBitPerSecond = Number((params as { bitPerSecond?: unknown }).bitPerSecond);
    if (!(rateBitPerSecond >= 1 && rateBitPerSecond <= 1e12))
      throw new OmniError('OMNI_BAD_CHANGE', `${rateBitPerSecond} is no rate`);
    const isGround = (name: string) => this.#scenario.nodes.find((n) => n.name === name)?.kind !== 'spacecraft';
    const own = this.#scenario.links.filter(
      ({ from, to }) => (from === node && isGround(to)) || (to === node && isGround(from)),
    );
    if (own.length === 0) throw new OmniError('OMNI_NO_SUCH_LINK', `${node} has no link to the ground`);
    for (const { name, from } of own)
      this.#dataPlane!.setLink(name, from === node ? 'up' : 'down', { rateBitPerSecond });
    this.#log(
      `event=link-rate node=${node} links=${own.map((l) => l.name).join(',')} bitPerSecond=${rateBitPerSecond}`,
    );
    return own.map(({ name }) => name);
  }

  async #status(): Promise<DaemonStatus> {
    return {
      pid: process.pid,
      realtime: this.#realtime,
      ...(this.#metrics !== undefined && { metrics: this.#metrics }),
      scenario: this.#scenario,
      dataPlane: this.#dataPlane!.status(),
      apps: await Promise.all(this.#apps.map((app) => app.status())),
    };
  }

  #contacts(params: Readonly<Record<string, unknown>>) {
    const count = Math.min(10_000, Math.max(1, Number(params.count ?? 10) || 10));
    return this.#scenario.links
      .filter(({ name }) => params.link === undefined || params.link === name)
      .flatMap(({ name, from, to }) =>
        (['up', 'down'] as const).map((direction) => {
          const contacts = this.#dataPlane!.contacts(name, direction, count);
          return { link: name, direction, from, to, always: contacts === undefined, contacts: contacts ?? [] };
        }),
      );
  }

  /** A contact counts for a node when all its directions are up; a one-way link has one. */
  #contactsOf(node: string): NodeContacts {
    const dataPlane = this.#dataPlane!;
    return {
      origin: dataPlane.origin,
      links: this.#scenario.links
        .filter((link) => link.from === node || link.to === node)
        .map((link) => {
          const directions = (['up', 'down'] as const).filter((d) => !isNever(link[d].contacts));
          const both = directions.map((d) => dataPlane.contacts(link.name, d, CONTACTS_AHEAD));
          const known = both.filter((list) => list !== undefined);
          const outbound = link.from === node ? link.up : link.down;
          const inbound = link.from === node ? link.down : link.up;
          return {
            peer: link.from === node ? link.to : link.from,
            always: known.length === 0,
            bitPerSecondIn: inbound.rateBitPerSecond,
            bitPerSecondOut: outbound.rateBitPerSecond,
            contacts: known.length < 2 ? (known[0] ?? []) : intersection(known[0]!, known[1]!),
          };
        }),
    };
  }

  async #stop(why: string): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log(`event=stopping why=${JSON.stringify(why)}`);
    await Promise.all(this.#apps.map((app) => app.stop(APP_GRACE_MILLISECONDS)));
    this.#dataPlane?.stop();
    process.exit(0);
  }
}

const isNever = (contacts: ResolvedContacts): boolean => contacts.kind === 'list' && contacts.contacts.length === 0;

interface Interval {
  readonly aosSeconds: number;
  readonly losSeconds: number;
}

function intersection(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  return a.flatMap((x) =>
    b.flatMap((y) => {
      const aosSeconds = Math.max(x.aosSeconds, y.aosSeconds);
      const losSeconds = Math.min(x.losSeconds, y.losSeconds);
      return aosSeconds < losSeconds ? [{ aosSeconds, losSeconds }] : [];
    }),
  );
}
