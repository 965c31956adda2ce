/**
 * The thread that keeps kernel routes in step with the contacts. A thread of its own, at ordinary priority, because a hundred
 * nodes' routes take longer to compute than the daemon may pause; it starts `ip` for what has changed.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ResolvedScenario } from '../scenario/resolved.ts';
import { ipBatch } from './iproute.ts';
import { kernelRoutesNow, type LinkContacts, linkState, routeChanges } from './route-changes.ts';

export interface RouteWorkerData {
  readonly scenario: ResolvedScenario;
  /** CLOCK_MONOTONIC of the data plane's start, nanoseconds. */
  readonly origin: number;
  readonly contacts: readonly LinkContacts[];
}

const { scenario, origin, contacts: initial } = workerData as RouteWorkerData;
const LONGEST_TIMER_MILLISECONDS = 2 ** 31 - 1;
let contacts = initial;
let routes: ReadonlyMap<string, readonly ResolvedScenario['nodes'][number]['kernelRoutes'][number][]> = new Map(
  scenario.nodes.map((node) => [node.namespace, node.kernelRoutes]),
);
let known = '';
let timer: NodeJS.Timeout | undefined;
let working: Promise<void> = Promise.resolve();

parentPort!.on('message', (message: readonly LinkContacts[]) => {
  contacts = message;
  follow();
});
follow();

function follow(): void {
  clearTimeout(timer);
  const now = (Number(process.hrtime.bigint()) - origin) / 1e9;
  const { usable, nextChangeSeconds } = linkState(contacts, now);
  const state = [...usable].join();
  if (state !== known) {
    known = state;
    working = working.then(() => apply(usable));
  }
  // One millisecond late rather than early: early would find the old state and turn round again.
  const wait = Math.min((nextChangeSeconds - now) * 1000 + 1, LONGEST_TIMER_MILLISECONDS);
  if (Number.isFinite(nextChangeSeconds)) timer = setTimeout(follow, wait);
}

async function apply(usable: ReadonlySet<string>): Promise<void> {
  const after = kernelRoutesNow(scenario, usable);
  for (const { namespace, lines } of routeChanges(routes, after)) {
    try {
      await ipBatch(lines, { namespace });
      parentPort!.postMessage(`event=routes namespace=${namespace} changed=${lines.length} up=${[...usable].join()}`);
    } catch (error) {
      parentPort!.postMessage(
        `event=routes-failed namespace=${namespace} error=${JSON.stringify((error as Error).message)}`,
      );
    }
  }
  routes = after;
}
