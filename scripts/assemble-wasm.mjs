#!/usr/bin/env node
// `npm run wasm`: assembles src/hdlc/seal.wat into src/hdlc/seal-module.ts, so that neither a build nor a user needs an assembler.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import loadAssembler from 'wabt';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/hdlc');
const assembler = await loadAssembler();
const module = assembler.parseWat('seal.wat', readFileSync(join(folder, 'seal.wat'), 'utf8'), { simd: true });
module.validate();
const { buffer } = module.toBinary({ log: false, write_debug_names: false });
const lines = Buffer.from(buffer)
  .toString('base64')
  .match(/.{1,116}/g);
writeFileSync(
  join(folder, 'seal-module.ts'),
  `/** seal.wat, assembled by \`npm run wasm\`: a WebAssembly module in base64. */
export const SEAL_MODULE =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`,
);
