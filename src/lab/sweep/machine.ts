/** What a result says of where it was made. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { SweepResult } from './result.ts';

export const totalmemOctets = (): number => totalmem();
export const cores = (): number => availableParallelism();

export function machine(): SweepResult['machine'] {
  return { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: cores(), memoryOctets: totalmem() };
}

export function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return { omni: version, node: process.versions.node, kernel: release() };
}
