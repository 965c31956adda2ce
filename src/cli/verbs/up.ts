/** `omni up`: a scenario becomes a running testbed, or nothing at all. */
import { constants } from 'node:os';
import type { Command } from 'commander';
import { OmniError } from '../../core/index.ts';
import { parseListenAddress } from '../../io/metrics-server.ts';
import { checkLineSources } from '../../node/line-sources.ts';
import { findScenario, loadScenario, type ResolvedScenario } from '../../scenario/index.ts';
import { requireTestbedMachine } from '../../testbed/preconditions.ts';
import { bringUp, type UpReport } from '../../testbed/up.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';
import { scenarioProblems } from './validate.ts';

interface Options {
  readonly name?: string;
  readonly seed?: string;
  readonly metrics?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb('up', 'Bring a testbed up: namespaces, links and services of a scenario. All or nothing.', [
    'omni up                         the built-in scenario uosat12',
    'omni up my-mission.yaml         your own (omni validate checks it first)',
    'omni up uosat12 --name second   the same once more, side by side',
    'omni exec control -- ping -c 3 spacecraft',
  ])
    .argument('[scenario]', 'a file, or the name of a built-in scenario', 'uosat12')
    .option('--name <name>', "another name for the testbed; default: the scenario's")
    .option('--seed <seed>', "another seed for every random choice; default: the scenario's")
    .option(
      '--metrics <address>',
      'serve Prometheus metrics at this address or port, on loopback unless it names a host',
    )
    .option('--json', 'print JSON')
    .action(run);
}

async function run(scenarioName: string, options: Options): Promise<void> {
  const started = performance.now();
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);

  const metrics = options.metrics === undefined ? undefined : parseListenAddress(options.metrics);
  if (options.metrics !== undefined && metrics === undefined)
    throw new VerbError(
      EXIT.usage,
      `--metrics: '${options.metrics}' is not an address`,
      'write 9477, 127.0.0.1:9477 or [::1]:9477',
    );
  requireTestbedMachine();
  const scenario = scenarioProblems(() => loadScenario(scenarioName, options));
  checkLineSources(scenario);
  const slow = setTimeout(() => note(`omni: bringing '${scenario.name}' up (${scenario.nodes.length} nodes) …`), 2000);
  let talkative = false;
  const report = await bringUp(scenario, {
    scenarioFile: findScenario(scenarioName),
    signal: interruption.signal,
    ...(metrics !== undefined && { metrics }),
    progress: (text) => {
      talkative ||= performance.now() - started > 2000 || text.startsWith('removing');
      if (talkative) note(`omni: ${text}`);
    },
  })
    .catch((error: unknown) => {
      if (error instanceof OmniError && error.code === 'OMNI_INTERRUPTED')
        throw new OmniError('OMNI_INTERRUPTED', 'interrupted; everything that was made has been removed');
      throw error;
    })
    .finally(() => clearTimeout(slow));

  const seconds = (performance.now() - started) / 1000;
  if (options.json) printJson(asJson(scenario, report, seconds));
  else process.stdout.write(asText(scenario, report, seconds));
  if (interruption.signal.aborted) {
    note(`omni: interrupted too late: '${scenario.name}' is up; 'omni down ${scenario.name}' removes it`);
    process.exitCode = 128 + constants.signals.SIGINT;
  } else process.exitCode = EXIT.success;
}

function asJson(
  scenario: ResolvedScenario,
  { paths, daemonPid, services, metrics }: UpReport,
  seconds: number,
): unknown {
  return {
    name: scenario.name,
    seconds: Number(seconds.toFixed(3)),
    seed: scenario.seed,
    runDirectory: paths.directory,
    daemonPid,
    metrics,
    nodes: scenario.nodes.map(({ name, kind, namespace, addresses }) => ({
      name,
      kind,
      namespace,
      addresses,
      services: services.find((s) => s.node === name)?.services ?? [],
    })),
    links: scenario.links.map(({ name, from, to }) => ({ name, from, to })),
  };
}

function asText(scenario: ResolvedScenario, { services, metrics }: UpReport, seconds: number): string {
  const { name, nodes, links } = scenario;
  const width = Math.max(...nodes.map((n) => n.name.length));
  const shown = nodes.slice(0, 20).map((node) => {
    const running = services.find((s) => s.node === node.name)?.services ?? [];
    return `  ${node.name.padEnd(width)}  ${(node.addresses[0] ?? '').padEnd(15)}  ${running.join(' ')}`.trimEnd();
  });
  if (nodes.length > 20) shown.push(`  … and ${nodes.length - 20} more`);
  const first = links[0];
  const pinger =
    nodes.find((n) => n.kind === 'control-centre') ?? nodes.find((n) => n.name === first?.from) ?? nodes[0]!;
  const target = first?.to ?? nodes.at(-1)!.name;
  const chosen = name === 'uosat12' ? '' : ` --testbed ${name}`;
  return `${name} is up: ${count(nodes.length, 'node')}, ${count(links.length, 'space link')}, in ${seconds.toFixed(1)} s
${shown.join('\n')}

Try:   omni exec${chosen} ${pinger.name} -- ping -c 3 ${target}
       omni status${chosen}
${metrics === undefined ? '' : `       http://${metrics}/metrics\n`}End:   omni down ${name}
`;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
