/**
 * Zod's issues as problems in the words and at the place of the scenario file. The surprising part is unions: of the
 * alternatives of `ber`, say, only the one that the writer meant is reported, which is the one whose outermost type fits.
 */
import type { z } from 'zod';

export interface Problem {
  /** Keys and indices from the top of the file. */
  readonly path: readonly (string | number)[];
  /** True when the key itself is at fault, not its value. */
  readonly atKey?: boolean;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

export function problemsOf(issues: readonly Issue[], schema: z.ZodType, input: unknown): Problem[] {
  return issues.flatMap((issue) => explain(issue, [], schema, input));
}

function explain(issue: Issue, above: readonly (string | number)[], schema: z.ZodType, input: unknown): Problem[] {
  const path = [...above, ...(issue.path as (string | number)[])];
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, path);
      return issue.keys.map((key) => ({ path: [...path, key], atKey: true, message: unknownKey(key, known) }));
    }
    case 'invalid_key':
      return [{ path, atKey: true, message: issue.issues.map((i) => i.message).join('; ') }];
    case 'invalid_union': {
      const meant = intended(issue.errors);
      return meant === undefined
        ? [{ path, message: `${stripped(issue.message, 'wrong kind of value')}${got(input, path)}` }]
        : meant.flatMap((inner) => explain(inner, path, schema, input));
    }
    case 'invalid_type': {
      if (valueAt(input, path) === undefined && path.length > 0)
        return [{ path: path.slice(0, -1), message: `the key '${path.at(-1)}' is missing${where(path.slice(0, -1))}` }];
      return [{ path, message: `${stripped(issue.message, `expected ${issue.expected}`)}${got(input, path)}` }];
    }
    case 'invalid_value': {
      const value = valueAt(input, path);
      if (value === undefined) return [{ path: path.slice(0, -1), message: `the key '${path.at(-1)}' is missing` }];
      const values = issue.values.map(String);
      const custom = stripped(issue.message, '');
      if (custom !== '') return [{ path, message: `${custom} (it is ${JSON.stringify(value)})` }];
      return [{ path, message: `'${value}' is not one of ${values.join(', ')}${didYouMean(String(value), values)}` }];
    }
    default:
      return [{ path, message: issue.message }];
  }
}

/** The alternative whose outermost type fits, the one with the fewest problems if several; undefined when none does. */
function intended(alternatives: readonly Issue[][]): Issue[] | undefined {
  const fitting = alternatives
    .map((issues) =>
      issues.length === 1 && issues[0]!.code === 'invalid_union' && issues[0]!.path.length === 0
        ? (intended(issues[0]!.errors) ?? issues)
        : issues,
    )
    .filter((issues) => !issues.some((i) => i.path.length === 0 && /^invalid_(type|union|value)$/.test(i.code)));
  // An object whose keys are all unknown is the wrong alternative if another one knows some of them.
  const cost = (issues: Issue[]) =>
    issues.reduce(
      (sum, i) => sum + (i.code === 'unrecognized_keys' && i.path.length === 0 ? 10 * i.keys.length : 1),
      0,
    );
  return fitting.sort((a, b) => cost(a) - cost(b))[0];
}

/** Zod's own wording, without its "Invalid input: "; our wording as it is. */
const stripped = (message: string, fallback: string): string =>
  message === 'Invalid input' || message.startsWith('Invalid option')
    ? fallback
    : message.replace(/^Invalid input: /, '').replace(/, received .*$/, '');

function got(input: unknown, path: readonly (string | number)[]): string {
  const value = valueAt(input, path);
  if (value === undefined) return '';
  const text = JSON.stringify(value) ?? String(value);
  return `, found ${value === null ? 'nothing' : text.length > 40 ? `${text.slice(0, 37)}...` : text}`;
}

const where = (path: readonly (string | number)[]): string => (path.length === 0 ? '' : ` in ${formatPath(path)}`);

function valueAt(input: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown> | undefined | null)?.[key],
    input,
  );
}

/** `links.space.up.rate`, `links.space.contacts[1].aos`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('');
}

const unknownKey = (key: string, known: readonly string[]): string => {
  const hint = didYouMean(key, known);
  return `unknown key '${key}'${hint === '' && known.length > 0 ? `; known here: ${known.join(', ')}` : hint}`;
};

export function didYouMean(word: string, candidates: readonly string[]): string {
  const near = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.min(word.length, candidate.length) / 2.5))
    .sort((a, b) => a.distance - b.distance)[0];
  return near === undefined ? '' : `; did you mean '${near.candidate}'?`;
}

/** Damerau-Levenshtein, adjacent transpositions: `dealy` is one step from `delay`. */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => i + j));
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = best;
    }
  return rows[a.length]![b.length]!;
}

/** The keys that any alternative of the schema knows at this place. */
function knownKeys(schema: z.ZodType, path: readonly (string | number)[]): string[] {
  let here: SchemaShape[] = [schema as unknown as SchemaShape];
  for (const key of path) here = here.flatMap(unwrap).flatMap((s) => step(s, key));
  return [...new Set(here.flatMap(unwrap).flatMap((s) => Object.keys(s._zod.def.shape ?? {})))];
}

interface SchemaShape {
  _zod: {
    def: {
      type: string;
      shape?: Record<string, SchemaShape>;
      innerType?: SchemaShape;
      in?: SchemaShape;
      options?: SchemaShape[];
      element?: SchemaShape;
      valueType?: SchemaShape;
    };
  };
}

function unwrap(schema: SchemaShape): SchemaShape[] {
  const { innerType, in: input, options } = schema._zod.def;
  if (innerType !== undefined) return unwrap(innerType);
  if (input !== undefined) return unwrap(input);
  if (options !== undefined) return options.flatMap(unwrap);
  return [schema];
}

function step(schema: SchemaShape, key: string | number): SchemaShape[] {
  const { shape, element, valueType } = schema._zod.def;
  const next = typeof key === 'number' ? element : (shape?.[key] ?? valueType);
  return next === undefined ? [] : [next];
}
