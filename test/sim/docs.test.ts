// The manual names every verb, every exit code and every scenario key. UPDATE_DOCS=1 rewrites what is generated. Not among the
// fast tests: a verb or key may be landed before its documentation is rewritten, but not released.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { jsonSchema, PRESET_NAMES } from '../../src/scenario/index.ts';
import { scenarioReference } from '../support/scenario-reference.ts';

const page = (name: string) => new URL(`../../docs/man/${name}`, import.meta.url);
const COMMAND = 'UPDATE_DOCS=1 npx vitest run --project sim test/sim/docs.test.ts';

/** The part of the page between two comments is what `wanted` says; UPDATE_DOCS=1 makes it so. */
function generated(name: string, mark: string, wanted: string): void {
  const text = readFileSync(page(name), 'utf8');
  const [before, rest] = text.split(`<!-- ${mark} -->\n`);
  const [, after] = rest!.split(`<!-- end of ${mark} -->\n`);
  const whole = `${before}<!-- ${mark} -->\n${wanted}\n<!-- end of ${mark} -->\n${after}`;
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(page(name), whole);
  expect(readFileSync(page(name), 'utf8') === whole, `docs/man/${name} is out of date; run: ${COMMAND}`).toBe(true);
}

test('every verb is in omni(1)', () => {
  const main = readFileSync(new URL('../../src/cli/main.ts', import.meta.url), 'utf8');
  const table = main.slice(main.indexOf('const VERBS'), main.indexOf('\n};'));
  const verbs = [...table.matchAll(/^ {2}'?([a-z-]+)'?: \{\s*summary: (['"])(.*?)\2,/gm)];
  expect(verbs.length).toBe([...table.matchAll(/load:/g)].length);
  const rows = verbs.map(([, verb, , summary]) => `| \`omni ${verb}\` | ${summary} |`);
  generated('omni.1.md', 'verbs', `| verb | |\n|---|---|\n${rows.join('\n')}`);
  const omni = readFileSync(page('omni.1.md'), 'utf8');
  for (const verb of ['up', 'down', 'status', 'exec', 'shell', 'validate', 'doctor'])
    expect(omni).toMatch(new RegExp(`^### \`omni ${verb}`, 'm'));
});

test('every exit code is in omni(1)', () => {
  const omni = readFileSync(page('omni.1.md'), 'utf8');
  for (const code of Object.values(EXIT)) expect(omni).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
});

test('every preset is in omni-scenario(5)', () => {
  const text = readFileSync(page('omni-scenario.5.md'), 'utf8');
  for (const name of PRESET_NAMES) expect(text).toContain(`\`${name}\``);
});

test('the reference in omni-scenario(5) is that of the schema', () => {
  generated('omni-scenario.5.md', 'reference', scenarioReference(jsonSchema()));
});
