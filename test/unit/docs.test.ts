// The manual names every verb, every exit code and every scenario key. UPDATE_DOCS=1 rewrites the generated reference.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { jsonSchema, PRESET_NAMES } from '../../src/scenario/index.ts';
import { scenarioReference } from '../support/scenario-reference.ts';

const page = (name: string) => new URL(`../../docs/man/${name}`, import.meta.url);
const omni = readFileSync(page('omni.1.md'), 'utf8');

test('every verb has its section in omni(1)', () => {
  const main = readFileSync(new URL('../../src/cli/main.ts', import.meta.url), 'utf8');
  const table = main.slice(main.indexOf('const VERBS'), main.indexOf('};'));
  const verbs = [...table.matchAll(/^ {2}'?([a-z-]+)'?: \{/gm)].map((match) => match[1]!);
  expect(verbs.length).toBeGreaterThan(7);
  const files = readdirSync(page('.')).map((name) => readFileSync(page(name), 'utf8'));
  for (const verb of verbs)
    expect(
      files.some((text) => text.includes(`omni ${verb}`)),
      `omni ${verb}`,
    ).toBe(true);
  for (const verb of ['up', 'down', 'status', 'exec', 'shell', 'validate', 'doctor'])
    expect(omni).toMatch(new RegExp(`^### \`omni ${verb}`, 'm'));
});

test('every exit code is in omni(1)', () => {
  for (const code of Object.values(EXIT)) expect(omni).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
});

test('every preset is in omni-scenario(5)', () => {
  const text = readFileSync(page('omni-scenario.5.md'), 'utf8');
  for (const name of PRESET_NAMES) expect(text).toContain(`\`${name}\``);
});

test('the reference in omni-scenario(5) is that of the schema', () => {
  const file = page('omni-scenario.5.md');
  const text = readFileSync(file, 'utf8');
  const [before, rest] = text.split('<!-- reference -->\n');
  const [, after] = rest!.split('<!-- end of reference -->\n');
  const wanted = `${before}<!-- reference -->\n${scenarioReference(jsonSchema())}\n<!-- end of reference -->\n${after}`;
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(file, wanted);
  expect(
    readFileSync(file, 'utf8') === wanted,
    'run: UPDATE_DOCS=1 npx vitest run --project fast test/unit/docs.test.ts',
  ).toBe(true);
});
