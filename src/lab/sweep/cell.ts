/**
 * A cell: one combination of settings, checked and resolved, so that all that could be wrong with a matrix is said before the
 * first testbed is built. The scenario is stripped of services that the workload does not use.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseDocument, stringify } from 'yaml';
import { checkLineSources } from '../../node/line-sources.ts';
import { findScenario, parseScenario, type ResolvedScenario, ScenarioError } from '../../scenario/index.ts';
import type { ResolvedDirection, ResolvedLink } from '../../scenario/resolved.ts';
import { SERVICE_NAMES } from '../../scenario/service-settings.ts';
import { congestionControlOf } from '../../testbed/congestion-control.ts';
import { SweepError } from './error.ts';
import { type Document, expandKey, getPath, inOrder, isWorkloadKey, type Json, setPath, splitPath } from './keys.ts';
import { isMahimahi, mahimahiTimeLine } from './mahimahi.ts';
import type { Job, Point } from './matrix.ts';
import type { SweepSettings } from './result.ts';
import {
  dataDirection,
  WORKLOAD_KINDS,
  type Workload,
  type WorkloadKind,
  workloadForRecord,
  workloadSchema,
} from './workload.ts';

export interface Cell {
  readonly id: string;
  readonly settings: SweepSettings;
  readonly workload: Workload;
  /** Without a name and a seed of its own. */
  readonly document: string;
  readonly file: string;
  readonly resolved: ResolvedScenario;
  readonly link: ResolvedLink;
  readonly spacecraft: string;
  readonly client: string;
  /** Runs, in place of the matrix's number. */
  readonly repetitions?: number;
}

/** An account for uploads. */
export const FTP_USER = { name: 'sweep', password: 'sweep' } as const;
const IP_AND_TCP_OCTETS = 40;
const SMALLEST_TCP_MTU = 128;

interface Base {
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
}

export function readBase({ matrix, directory }: Job): Base {
  const name = matrix.scenario ?? 'lab';
  const builtIn = findScenario(name);
  const file = existsSync(builtIn) && builtIn !== resolve(name) ? builtIn : resolve(directory, name);
  if (!existsSync(file))
    throw new SweepError('scenario', `there is no scenario file ${file}`, 'give a file, or a built-in one such as lab');
  const text = readFileSync(file, 'utf8');
  return { file, text, sha256: createHash('sha256').update(text).digest('hex') };
}

/** Throws SweepError naming the key as the job has it. */
export function makeCell(job: Job, base: Base, point: Point): Cell {
  const parsed = parseDocument(base.text, { version: '1.2' });
  if (parsed.errors.length > 0) throw new SweepError('scenario', parsed.errors[0]!.message);
  const document = (parsed.toJS() ?? {}) as Document;
  const given = { ...point.set, ...point.varied };
  const workload = readWorkload(given);
  const direction = dataDirection(workload);
  const link = chooseLink(job, document);
  const { overrides, origins } = applyKeys(given, { document, link, direction, directory: job.directory });
  const { spacecraft, client } = chooseEnds(job, document, link);
  prepareServices(document, workload, spacecraft, client);
  delete document.name;
  delete document.seed;
  const resolved = resolveDocument(document, base.file, origins);
  const settings: SweepSettings = {
    scenario: job.matrix.scenario ?? 'lab',
    scenarioSha256: base.sha256,
    varied: point.varied as SweepSettings['varied'],
    overrides: overrides as SweepSettings['overrides'],
    workload: workloadForRecord(workload),
    direction,
    ...describe(document, resolved, link, direction),
  };
  const cell: Cell = {
    id: cellId(settings),
    settings,
    workload,
    document: stringify(document),
    file: base.file,
    resolved,
    link: resolved.links.find(({ name }) => name === link)!,
    spacecraft,
    client,
  };
  checkSegment(cell, given);
  return cell;
}

/** Equal settings have equal ids, however the job came to them. */
function cellId({ varied: _, scenario: __, ...settings }: SweepSettings): string {
  return createHash('sha256').update(canonical(settings)).digest('hex').slice(0, 16);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

function readWorkload(given: Readonly<Record<string, Json>>): Workload {
  const whole = given.workload ?? 'bulk';
  const written: Document = typeof whole === 'string' ? { kind: whole } : { ...(whole as Document) };
  for (const [key, value] of Object.entries(given))
    if (key.startsWith('workload.')) setPath(written, key.slice(9), value);
  if (!WORKLOAD_KINDS.includes(written.kind as WorkloadKind))
    throw new SweepError('workload', `'${String(written.kind)}' is not one of ${WORKLOAD_KINDS.join(', ')}`);
  const parsed = workloadSchema.safeParse(written);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const path = ['workload', ...issue.path].join('.');
  if (issue.code === 'unrecognized_keys')
    throw new SweepError(`${path}.${issue.keys[0]}`, `${written.kind} has no such key`);
  throw new SweepError(path, issue.message);
}

function chooseLink({ matrix }: Job, document: Document): string {
  const names = Object.keys((document.links ?? {}) as Document);
  if (matrix.link !== undefined) {
    if (names.includes(matrix.link)) return matrix.link;
    throw new SweepError('link', `the scenario has no link '${matrix.link}'`, `it has ${names.join(', ')}`);
  }
  if (names.length === 1) return names[0]!;
  if (names.length === 0) throw new SweepError('scenario', 'it has no space link that could be measured');
  throw new SweepError('link', `the scenario has several: ${names.join(', ')}`, 'name the one to measure with `link`');
}

type Nodes = Record<string, Record<string, unknown> | undefined>;

function chooseEnds({ matrix }: Job, document: Document, link: string): { spacecraft: string; client: string } {
  const nodes = (document.nodes ?? {}) as Nodes;
  const between = (getPath(document, `links.${link}.between`) ?? []) as string[];
  const check = (key: string, name: string | undefined) => {
    if (name !== undefined && nodes[name] === undefined)
      throw new SweepError(key, `the scenario has no node '${name}'`, `it has ${Object.keys(nodes).join(', ')}`);
    return name;
  };
  const spacecraft =
    check('spacecraft', matrix.spacecraft) ??
    between.find((name) => nodes[name]?.kind === 'spacecraft') ??
    between[1] ??
    Object.keys(nodes)[0]!;
  const client =
    check('client', matrix.client) ??
    Object.keys(nodes).find((name) => nodes[name]?.kind === 'control-centre') ??
    between.find((name) => name !== spacecraft) ??
    Object.keys(nodes)[0]!;
  return { spacecraft, client };
}

/** Sets every key in the document. @returns all paths set, and by path the job's name for it. */
function applyKeys(
  given: Readonly<Record<string, Json>>,
  context: { document: Document; link: string; direction: 'up' | 'down'; directory: string },
): { overrides: Record<string, Json>; origins: Map<string, string> } {
  const overrides: Record<string, Json> = {};
  const origins = new Map<string, string>();
  for (const key of inOrder(Object.keys(given))) {
    if (isWorkloadKey(key)) continue;
    const value = given[key]!;
    for (const [path, expanded] of expandKey(key, value, context)) {
      const imported = isMahimahi(expanded) ? mahimahiTimeLine(expanded, context.directory, key) : expanded;
      setPath(context.document, path, imported);
      overrides[path] = imported;
      origins.set(path, key);
    }
  }
  return { overrides, origins };
}

/** What the workload does not use would only cost time, and put packets of its own on the link. */
function prepareServices(document: Document, workload: Workload, spacecraft: string, client: string): void {
  const nodes = document.nodes as Nodes;
  for (const node of Object.values(nodes)) {
    const used = { ftp: ['ftp-get', 'ftp-put'], smtp: ['mail'] } as Record<string, string[]>;
    for (const service of SERVICE_NAMES)
      if (node !== undefined && !used[service]?.includes(workload.kind)) delete node[service];
  }
  const at = (name: string): Document => nodes[name] as Document;
  if (workload.kind === 'ftp-get') at(spacecraft).ftp ??= {};
  if (workload.kind === 'ftp-put') at(spacecraft).ftp = { ...(at(spacecraft).ftp as object), users: [FTP_USER] };
  if (workload.kind === 'mail') at(spacecraft).smtp ??= {};
  if (workload.kind === 'telemetry') {
    const interval = (workload.interval as number) / 1e9;
    const others = ['clock', 'link', 'camera', 'storage', 'mailQueue'];
    at(spacecraft).telemetry = {
      downlink: {
        to: client,
        intervalSeconds: { housekeeping: interval, ...Object.fromEntries(others.map((name) => [name, 0])) },
      },
    };
    at(client).telemetry = { recorder: {} };
  }
}

function resolveDocument(document: Document, file: string, origins: ReadonlyMap<string, string>): ResolvedScenario {
  try {
    const resolved = parseScenario(stringify({ ...document, name: 'sweep' }), { file, directory: dirname(file) });
    checkLineSources(resolved);
    return resolved;
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    const { path, message } = error.problems[0]!;
    const words = path.map(String);
    // The job's own name for the key, if it set that key, one below it or one above it.
    const [, key] =
      [...origins].find(([set]) => {
        const own = splitPath(set).map(String);
        return own.every((word, i) => i >= words.length || word === words[i]);
      }) ?? [];
    throw new SweepError(key ?? `scenario, ${words.join('.')}`, message);
  }
}

function describe(document: Document, resolved: ResolvedScenario, linkName: string, direction: 'up' | 'down') {
  const link = resolved.links.find(({ name }) => name === linkName)!;
  const sender = resolved.nodes.find(({ name }) => name === (direction === 'up' ? link.from : link.to))!;
  const announced = sender.routeAttributes.indexOf('advmss');
  const tcp = (document.tcp ?? {}) as { stack?: unknown };
  return {
    stack: String(tcp.stack ?? 'kernel'),
    congestionControl: congestionControlOf(sender.routeAttributes) ?? kernelDefault(),
    link: linkName,
    mtuOctets: link.mtuOctets,
    maximumSegmentOctets: announced < 0 ? null : Number(sender.routeAttributes[announced + 1]),
    framing: link.encapsulation.kind,
    fcs: link.fcs,
    lineCoding: [...link.lineCoding],
    up: describeDirection(link.up),
    down: describeDirection(link.down),
  };
}

const describeDirection = ({ rateBitPerSecond, delay, noise, queueLimit }: ResolvedDirection) => ({
  rateBitPerSecond,
  delaySeconds: delay / 1e9,
  bitErrorRate: noise.kind === 'independent' ? noise.ber : null,
  queuePackets: queueLimit.packets ?? null,
  queueOctets: queueLimit.octets ?? null,
});

function kernelDefault(): string {
  try {
    return readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

/** A segment that no packet of the link can hold would be fragmented or, more likely, quietly made smaller by the kernel. */
function checkSegment({ settings, workload }: Cell, given: Readonly<Record<string, Json>>): void {
  const { maximumSegmentOctets: announced, mtuOctets } = settings;
  if (workload.kind === 'telemetry') return;
  const room = mtuOctets - IP_AND_TCP_OCTETS;
  if (announced !== null && announced > room) {
    const key = ['segment', 'mss', 'maximumSegment', 'tcp.maximumSegment'].find((name) => name in given) ?? 'mss';
    throw new SweepError(
      key,
      `a maximum segment of ${announced} octets${key === 'segment' ? ' (timestamps included)' : ''} does not fit an MTU of ${mtuOctets}: 40 octets are IP and TCP headers`,
      `set mtu to ${announced + IP_AND_TCP_OCTETS} or more, or ${key} to ${room - (announced - Number(given[key] ?? announced))} or less`,
    );
  }
  if (mtuOctets < SMALLEST_TCP_MTU)
    throw new SweepError('mtu', `${mtuOctets} octets leave TCP no room`, `set mtu to ${SMALLEST_TCP_MTU} or more`);
}

export const cellDirectory = (directory: string, cell: Cell): string => join(directory, cell.id);
