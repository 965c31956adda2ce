/** `omni validate`: every problem of a scenario file at once, or the schema for editors. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { checkLineSources } from '../../node/line-sources.ts';
import {
  findScenario,
  formatProblem,
  jsonSchema,
  loadScenario,
  type ResolvedScenario,
  ScenarioError,
} from '../../scenario/index.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

export function command(): Command {
  return verb('validate', 'Check scenario files: every problem with its file, line, column and key.', [
    'omni validate my-mission.yaml',
    'omni validate my-mission.yaml --json     the resolved scenario: defaults, routes, base units',
    'omni validate --print-schema > omni-scenario.schema.json',
  ])
    .argument('[files...]', 'scenario files, or names of built-in scenarios')
    .option('--print-schema', 'print the JSON Schema, for editors that complete and check YAML')
    .option('--json', 'print JSON: the resolved scenario, or the problems')
    .action(run);
}

function run(files: string[], { printSchema, json }: { printSchema?: boolean; json?: boolean }): void {
  if (printSchema) {
    printJson(jsonSchema());
    return;
  }
  if (files.length === 0) throw new VerbError(EXIT.usage, 'which file?', 'omni validate my-mission.yaml');
  const results = files.map((file) => {
    try {
      return { file, valid: true as const, scenario: load(file) };
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      return { file, valid: false as const, problems: error.problems, shown: error.file };
    }
  });
  if (json) printJson(results.map(({ shown: _, ...result }: { shown?: string }) => result));
  else
    for (const result of results)
      if (result.valid) process.stdout.write(`${result.file}: good (${summary(result.scenario)})\n`);
      else for (const problem of result.problems) note(formatProblem(result.shown, problem));
  const bad = results.filter((r) => !r.valid).length;
  if (bad > 0) process.exitCode = EXIT.dataError;
}

function load(file: string): ResolvedScenario {
  const path = findScenario(file);
  if (!existsSync(path))
    throw new VerbError(EXIT.dataError, `there is no scenario file ${path}`, "'omni up --help' shows how to name one");
  const scenario = loadScenario(file);
  checkLineSources(scenario);
  return scenario;
}

/** Turns a ScenarioError, or a file that is not there, into the verb's error. */
export function scenarioProblems<Value>(work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    if (error instanceof ScenarioError)
      throw new VerbError(
        EXIT.dataError,
        `the scenario has ${error.problems.length === 1 ? 'a problem' : `${error.problems.length} problems`}:\n${error.message}`,
      );
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'EACCES')
      throw new VerbError(
        EXIT.dataError,
        code === 'ENOENT' ? `there is no scenario file ${path}` : `cannot read the scenario file (${code})`,
        'give a file, or the name of a built-in scenario such as uosat12',
      );
    throw error;
  }
}

const summary = ({ name, nodes, links, networks }: ResolvedScenario): string =>
  `${name}: ${nodes.length} nodes, ${links.length} space links, ${networks.length} networks`;
