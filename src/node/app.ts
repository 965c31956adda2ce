/**
 * A node's app process: runs the node's services inside its namespace (`ip netns exec` put it there). It loads their code,
 * gives root up unless a service needs it, starts them, and ends with its daemon. Ports below 1024 are free to every user in
 * the namespace, so nothing needs root to listen.
 */
import { chownSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OmniError } from '../core/index.ts';
import { hostClock, NodeClock } from '../io/clock.ts';
import { loadNative } from '../io/native.ts';
import type { ResolvedNode, ResolvedScenario } from '../scenario/resolved.ts';
import type { ServiceName } from '../scenario/service-settings.ts';
import { REBOOT_EXIT_CODE } from '../testbed/app-supervisor.ts';
import type { NodeContacts } from '../testbed/apps.ts';
import { answerParent, askParent } from '../testbed/child.ts';
import { fileLog } from '../testbed/log.ts';
import { nodeLog, nodeRunDirectory, nodeStateDirectory, type TestbedPaths } from '../testbed/run-directory.ts';
import { ToldContacts } from './app-contacts.ts';
import { onboard } from './onboard.ts';
import type { Service, StartService } from './service.ts';
import { SERVICES, type ServiceEntry } from './services/index.ts';

/** `nobody` and `nogroup` on every Linux. */
const UNPRIVILEGED_ID = 65_534;
const REBOOT_AFTER_MS = 250;

export async function runApp(paths: TestbedPaths, nodeName: string): Promise<void> {
  const parent = process.ppid;
  const log = fileLog(nodeLog(paths, nodeName));
  const services: Service[] = [];
  let contacts: ToldContacts | undefined;
  let nodeClock: NodeClock | undefined;
  const end = async (exitCode: number) => {
    await Promise.allSettled(services.map((service) => service.close()));
    nodeClock?.close();
    process.exit(exitCode);
  };
  const stop = () => end(0);
  process.on('SIGTERM', () => void stop());
  process.on('SIGHUP', () => {});
  process.on('disconnect', () => void stop());

  answerParent(async (request, params) => {
    switch (request) {
      case 'start': {
        const scenario = JSON.parse(readFileSync(paths.scenario, 'utf8')) as ResolvedScenario;
        const node = scenario.nodes.find((n) => n.name === nodeName)!;
        const wanted = await Promise.all(
          (Object.entries(node.services) as [ServiceName, unknown][]).map(async ([name, settings]) => {
            const entry = serviceEntry(name);
            return { name, settings, keepsRoot: entry.keepsRoot === true, start: await entry.load() };
          }),
        );
        const stateDirectory = nodeStateDirectory(paths, nodeName);
        const runDirectory = nodeRunDirectory(paths, nodeName);
        const keepsRoot = wanted.some((w) => w.keepsRoot) || !codeIsReadable();
        // Where a log that grew large goes.
        closeSync(openSync(`${nodeLog(paths, nodeName)}.1`, 'a', 0o644));
        if (!keepsRoot) chownSync(`${nodeLog(paths, nodeName)}.1`, UNPRIVILEGED_ID, UNPRIVILEGED_ID);
        for (const directory of [stateDirectory, runDirectory]) {
          mkdirSync(directory, { recursive: true, mode: 0o755 });
          if (!keepsRoot) chownSync(directory, UNPRIVILEGED_ID, UNPRIVILEGED_ID);
        }
        if (!keepsRoot) giveRootUp();
        await endWithParent(parent);
        nodeClock = makeClock(scenario, node, stateDirectory);
        const clock = nodeClock ?? hostClock();
        contacts = new ToldContacts(params as NodeContacts, clock);
        log(
          `event=starting pid=${process.pid} uid=${process.getuid?.()} services=${wanted.map((w) => w.name).join(',')}`,
        );
        offerProcessActions({ scenario: scenario.name, node: nodeName }, () => {
          log('event=rebooting');
          void end(REBOOT_EXIT_CODE);
        });
        for (const { name, settings, start } of wanted)
          services.push(
            await startService(name, start, {
              scenario: scenario.name,
              node: nodeName,
              settings,
              stateDirectory,
              runDirectory,
              clock,
              contacts,
              log: (line) => log(`service=${name} ${line}`),
            }),
          );
        return services.map((service) => service.name);
      }
      case 'contacts':
        contacts?.tell(params as NodeContacts);
        return undefined;
      case 'status':
        return Object.fromEntries(services.map((service) => [service.name, service.status()]));
      case 'service':
        return askService(services, params as { service: string; method: string; params: unknown });
      default:
        throw new OmniError('OMNI_REQUEST', `unknown request '${request}'`);
    }
  });
}

/** What commands may ask for that is no service's business. */
function offerProcessActions(node: { scenario: string; node: string }, reboot: () => void): void {
  const offered = onboard(node);
  offered.offer('reboot', () => {
    // The command's last report leaves first.
    setTimeout(reboot, REBOOT_AFTER_MS);
    return 'rebooting';
  });
  offered.offer('link.rate', async ({ bitPerSec }) => {
    const links = (await askParent('set-return-rate', { bitPerSecond: Number(bitPerSec) })) as string[];
    return `${links.join(', ')} down at ${bitPerSec} bit/s`;
  });
}

/** The state of the clock outlives the process: a spacecraft's clock runs on through the night. */
function makeClock(scenario: ResolvedScenario, node: ResolvedNode, stateDirectory: string): NodeClock | undefined {
  if (node.clock === undefined) return undefined;
  const stateFile = join(stateDirectory, 'clock.json');
  return new NodeClock(node.clock, { seed: `${scenario.seed}/${node.name}`, stateFile });
}

function serviceEntry(name: ServiceName): ServiceEntry {
  const entry = SERVICES[name];
  if (entry === undefined)
    throw new OmniError('OMNI_NO_SERVICE', `this version of omni has no service '${name}'`, {
      remedy: `it has ${Object.keys(SERVICES).join(', ') || 'none yet'}`,
    });
  return entry;
}

async function startService(name: string, start: StartService, context: Parameters<StartService>[0]): Promise<Service> {
  try {
    return await start(context);
  } catch (cause) {
    const { message, remedy } = cause as Error & { remedy?: string };
    throw new OmniError('OMNI_SERVICE', `the service '${name}' did not start: ${message}`, {
      cause,
      ...(remedy !== undefined && { remedy }),
    });
  }
}

/** Services may offer more than the contract: a method `handleRequest`, for the verbs that belong to them. */
function askService(
  services: readonly Service[],
  { service, method, params }: { service: string; method: string; params: unknown },
): unknown {
  const found = services.find((s) => s.name === service) as
    | (Service & { handleRequest?(method: string, params: unknown): unknown })
    | undefined;
  if (found?.handleRequest === undefined)
    throw new OmniError('OMNI_NO_SERVICE', `there is no service '${service}' here that answers requests`);
  return found.handleRequest(method, params);
}

/** Code in a folder that only root may enter (a clone in /root) could not be loaded later. */
function codeIsReadable(): boolean {
  process.seteuid?.(UNPRIVILEGED_ID);
  try {
    closeSync(openSync(fileURLToPath(import.meta.url), 'r'));
    return true;
  } catch {
    return false;
  } finally {
    process.seteuid?.(0);
  }
}

function giveRootUp(): void {
  process.setgroups?.([]);
  process.setgid?.(UNPRIVILEGED_ID);
  process.setuid?.(UNPRIVILEGED_ID);
}

/** After the change of user, which clears it. A daemon that is killed takes its apps along. */
async function endWithParent(parent: number): Promise<void> {
  (await loadNative()).parentDeathSignal(constants.signals.SIGTERM);
  if (process.ppid !== parent) process.exit(0);
}
