/** `omni status`: one testbed in detail, or all of them in a line each. */
import type { Command } from 'commander';
import { formatDuration, formatRate } from '../../scenario/index.ts';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { listTestbeds, selectTestbed, type TestbedState } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, verb } from '../verb.ts';

type Direction = DaemonStatus['dataPlane']['links'][number]['up'];

export function command(): Command {
  return verb(
    'status',
    'Show what is up: nodes and services, links with rate, delay, errors, contacts, queues and losses.',
    ['omni status', 'omni status --testbed second', "omni status --json | jq '.[0].dataPlane.links[].down.counters'"],
  )
    .argument('[testbed]', 'which; default: all')
    .option('--testbed <name>', 'the same as the argument')
    .option('--json', 'print JSON: a list, one entry a testbed')
    .action(async (argument: string | undefined, options: { testbed?: string; json?: boolean }) => {
      const name = argument ?? options.testbed;
      const testbeds = name === undefined ? await listTestbeds() : [await selectTestbed(name)];
      const all = await Promise.all(testbeds.map(describe));
      if (options.json)
        printJson(
          all.map(({ testbed: { name: n, state, record }, status, problem }) => ({
            name: n,
            state,
            createdAt: record?.createdAt,
            problem,
            ...status,
          })),
        );
      else if (all.length === 0) note("omni: no testbed is up\n      'omni up' brings one up");
      else process.stdout.write(`${all.map(text).join('\n\n')}\n`);
      if (all.length === 0 || all.some((t) => t.testbed.state !== 'up' || t.problem !== undefined))
        process.exitCode = EXIT.temporary;
    });
}

interface Described {
  readonly testbed: TestbedState;
  readonly status?: DaemonStatus;
  readonly problem?: string;
}

async function describe(testbed: TestbedState): Promise<Described> {
  if (testbed.state !== 'up') return { testbed };
  try {
    return { testbed, status: (await controlRequest(testbed.paths.controlSocket, 'status')) as DaemonStatus };
  } catch (error) {
    return { testbed, problem: (error as Error).message };
  }
}

function text({ testbed, status, problem }: Described): string {
  const { name, state } = testbed;
  if (state === 'busy') return `${name}: a command is building or removing it`;
  if (state === 'broken') return `${name}: broken, its daemon is gone; 'omni down ${name}' removes what is left`;
  if (status === undefined) return `${name}: up, but it does not answer: ${problem}`;
  const { scenario, dataPlane, apps } = status;
  const width = Math.max(...scenario.nodes.map((n) => n.name.length));
  const nodes = scenario.nodes.map((node) => {
    const app = apps.find((a) => a.node === node.name);
    const services =
      app === undefined
        ? ''
        : app.state === 'running'
          ? `${Object.keys(app.services).join(' ')}${restarted(app)}`
          : `${app.state.toUpperCase()} ${app.reason ?? ''}`;
    return `  ${node.name.padEnd(width)}  ${(node.addresses[0] ?? '').padEnd(15)}  ${node.kind.padEnd(14)}  ${services}`.trimEnd();
  });
  const links = dataPlane.links.flatMap((link) => {
    const frame = `${link.encapsulation}, FCS-${link.fcs}, MTU ${link.mtuOctets}`;
    return [
      `  ${link.name}  ${link.from} – ${link.to}  (${frame})`,
      direction('up', link.up, dataPlane),
      direction('down', link.down, dataPlane),
    ];
  });
  const { lateness, alarms } = dataPlane;
  const late =
    lateness.overdue > 0
      ? `LATE: ${lateness.overdue} of ${lateness.count} events over 1 ms behind, at worst ${lateness.maximumMicroseconds} us`
      : `on time: events at most ${lateness.maximumMicroseconds} us late`;
  return [
    `${name} is up since ${testbed.record?.createdAt}, seed ${dataPlane.seed}, daemon ${status.pid}${status.realtime ? '' : ' (without real-time priority)'}`,
    ...nodes,
    ...(links.length === 0 ? [] : ['', ...links]),
    '',
    `  ${late}`,
    ...alarms.map((alarm) => `  ALARM: ${alarm.where}: ${alarm.missing} packets unaccounted for`),
  ].join('\n');
}

const restarted = ({ restarts, lastEnd }: DaemonStatus['apps'][number]): string =>
  restarts === 0 ? '' : ` (restarted ${restarts}×, last ${lastEnd?.at}: ${lastEnd?.reason})`;

function direction(name: string, d: Direction, dataPlane: DaemonStatus['dataPlane']): string {
  const output = dataPlane.nodes
    .find((n) => n.name === d.from)
    ?.router?.interfaces.find((i) =>
      dataPlane.links.some((l) => l.name === i.name && (l.up === d || l.down === d)),
    )?.output;
  const limit =
    d.queueLimit.packets !== undefined ? `${d.queueLimit.packets} packets` : `${d.queueLimit.octets} octets`;
  const derived = d.queueLimit.derived === undefined ? '' : ' (derived)';
  const noise =
    d.noise.kind === 'independent'
      ? `BER ${formatBer(d.noise.ber)}`
      : d.noise.kind === 'burst'
        ? `bursts, BER ${formatBer(d.noise.badBer)}`
        : d.noise.kind;
  const { packetsIn = 0, packetsOut = 0, packetsLost = 0, packetsInFlight = 0 } = d.counters;
  const losses = Object.entries(output?.dropped ?? {}).filter(([, n]) => n > 0);
  return [
    `    ${name.padEnd(4)} ${d.from} → ${d.to}: ${d.up ? 'in contact' : 'no contact'}${contact(d, dataPlane.uptimeSeconds)}, ${formatRate(d.rateBitPerSecond)}bit/s, ${formatDuration(Math.round(d.delayMilliseconds * 1e6))}${d.jitterMilliseconds > 0 ? ` + up to ${d.jitterMilliseconds} ms` : ''}, ${noise}`,
    `         sent ${packetsIn}, delivered ${packetsOut}, in flight ${packetsInFlight}, lost ${packetsLost}; queue ${output?.queuedPackets ?? 0} of ${limit}${derived}${losses.length === 0 ? '' : `; dropped ${losses.map(([reason, n]) => `${reason} ${n}`).join(', ')}`}`,
  ].join('\n');
}

function contact(d: Direction, uptimeSeconds: number): string {
  if (d.contact === undefined) return '';
  const inSeconds = (at: number) => formatDuration(Math.max(0, Math.round(at - uptimeSeconds)) * 1e9);
  return d.up ? ` (LOS in ${inSeconds(d.contact.losSeconds)})` : ` (AOS in ${inSeconds(d.contact.aosSeconds)})`;
}

const formatBer = (ber: number): string => (ber === 0 ? '0' : ber.toExponential().replace('e+0', ''));
