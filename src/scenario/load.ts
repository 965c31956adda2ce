/** A scenario file: YAML 1.2 text to a resolved scenario, or every problem at once with file, line, column and path. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { formatPath, type Problem, problemsOf } from './problems.ts';
import { checkReferences } from './references.ts';
import { resolveScenario } from './resolve.ts';
import type { ResolvedScenario } from './resolved.ts';
import { scenarioSchema } from './schema.ts';

export interface LocatedProblem extends Problem {
  readonly line: number;
  readonly column: number;
}

/** The file says something that no testbed can be built from. `problems` has all of it, in the order of the file. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly file: string;
  readonly problems: readonly LocatedProblem[];
  constructor(file: string, problems: readonly LocatedProblem[]) {
    super(problems.map((p) => formatProblem(file, p)).join('\n'));
    this.file = file;
    this.problems = problems;
  }
}

/** `file:line:column: path: message`, the form that editors jump to. */
export const formatProblem = (file: string, p: LocatedProblem): string =>
  `${file}:${p.line}:${p.column}: ${p.path.length === 0 ? '' : `${formatPath(p.path)}: `}${p.message}`;

const SCENARIOS = fileURLToPath(new URL('../../netns/scenarios/', import.meta.url));

/** A path, or the name of a scenario that comes with omni (`uosat12`). */
export function findScenario(nameOrPath: string): string {
  if (!nameOrPath.includes('/') && !/\.ya?ml$/.test(nameOrPath)) {
    const builtIn = join(SCENARIOS, `${nameOrPath}.yaml`);
    if (existsSync(builtIn)) return builtIn;
  }
  return resolvePath(nameOrPath);
}

/** Throws ScenarioError, or the file system's error when it cannot be read. */
export function loadScenario(nameOrPath: string, overrides: ScenarioOverrides = {}): ResolvedScenario {
  const file = findScenario(nameOrPath);
  return parseScenario(readFileSync(file, 'utf8'), {
    file: displayName(nameOrPath, file),
    directory: dirname(file),
    ...overrides,
  });
}

export interface ScenarioOverrides {
  readonly name?: string | undefined;
  readonly seed?: string | undefined;
  /** The epoch of a scenario that sets none, milliseconds of UTC since 1970. Default: the clock's. */
  readonly now?: number | undefined;
}

export function parseScenario(
  text: string,
  options: ScenarioOverrides & { file?: string; directory?: string } = {},
): ResolvedScenario {
  const file = options.file ?? 'scenario';
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: '1.2', prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.length > 0)
    throw new ScenarioError(
      file,
      document.errors.map((e) => ({ path: [], message: e.message, ...at(e.pos[0]) })),
    );
  let input: unknown;
  try {
    input = document.toJS({ maxAliasCount: 1000 }) ?? {};
  } catch (error) {
    throw new ScenarioError(file, [{ path: [], message: (error as Error).message, line: 1, column: 1 }]);
  }
  if (typeof input === 'object' && !Array.isArray(input)) {
    const record = input as Record<string, unknown>;
    if (options.name !== undefined) record.name = options.name;
    if (options.seed !== undefined) record.seed = options.seed;
  }

  const parsed = scenarioSchema.safeParse(input);
  const problems = [
    ...(parsed.success ? [] : problemsOf(parsed.error.issues, scenarioSchema, input)),
    ...checkReferences(input),
  ];
  if (parsed.success && problems.length === 0) {
    const resolved = resolveScenario(parsed.data, options.directory ?? '.', options.now ?? Date.now());
    if (resolved.ok) return resolved.scenario;
    problems.push(...resolved.problems);
  }
  const located = problems.map((p) => ({ ...p, ...at(offsetOf(document.contents, p)) }));
  located.sort((a, b) => a.line - b.line || a.column - b.column);
  throw new ScenarioError(file, located);
}

const displayName = (asked: string, file: string): string =>
  resolvePath(asked) === file ? asked : `${basename(file)} (built in)`;

/** Where the problem's key or value stands; the nearest enclosing thing when the key is absent. */
function offsetOf(root: Node | null, problem: Problem): number {
  let node: unknown = root;
  let offset = startOf(root);
  for (const [i, key] of problem.path.entries()) {
    const last = i === problem.path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((p: Pair) => isScalar(p.key) && String(p.key.value) === String(key));
      if (pair === undefined || !isPair(pair)) return offset;
      offset = startOf(pair.key);
      if (last && problem.atKey) return offset;
      node = pair.value;
      // A block map or list below a key begins on a later line: the key is the better place to point at.
      if (isScalar(node) || (isNode(node) && 'flow' in node && node.flow)) offset = startOf(node);
    } else if (isSeq(node) && typeof key === 'number') {
      node = node.items[key];
      offset = startOf(node) || offset;
    } else return offset;
  }
  return offset;
}

const startOf = (node: unknown): number => (isNode(node) && node.range ? node.range[0] : 0);
