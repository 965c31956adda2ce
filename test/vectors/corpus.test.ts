import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fromHex } from '../../src/core/index.ts';
import { target as ftp } from '../fuzz/ftp.ts';
import { target as hdlc } from '../fuzz/hdlc.ts';
import { target as router } from '../fuzz/router.ts';
import type { FuzzTarget } from '../fuzz/target.ts';

interface Found {
  readonly target: string;
  readonly found: string;
  readonly steps: readonly { readonly ingress: number; readonly octets: string }[];
}

const TARGETS: Readonly<Record<string, FuzzTarget>> = { ftp, hdlc, router };
const folder = new URL('./corpus/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

test('the corpus is there', () => expect(names.length).toBeGreaterThan(0));

test.each(names)('%s', (name) => {
  const found = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Found;
  TARGETS[found.target]!.run(found.steps.map(({ ingress, octets }) => ({ ingress, octets: fromHex(octets) })));
});

test.each(Object.values(TARGETS))('$name: a short run of the fuzzer', (target) => {
  target.run(target.inputs('test', 4000));
});
