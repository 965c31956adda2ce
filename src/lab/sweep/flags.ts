/** `--vary key=v1,v2` and `--set key=value` of the command line as parts of a matrix: values are YAML, commas separate them. */
import { parse } from 'yaml';
import { SweepError } from './error.ts';
import type { Json } from './keys.ts';

/** `ber=1e-6` */
export function parseSetting(text: string, flag: string): [key: string, value: Json] {
  const [key, value] = keyAndRest(text, flag, 'KEY=VALUE');
  return [key, yaml(value, key)];
}

/** `ber=1e-7,1e-6,1e-5`, `contacts={period: 3min, duration: 1min},{period: 6min, duration: 2min}` */
export function parseVariation(text: string, flag: string): [key: string, values: Json[]] {
  const [key, rest] = keyAndRest(text, flag, 'KEY=VALUE,VALUE,…');
  return [key, listOf(rest, key)];
}

export const listOf = (text: string, key: string): Json[] => splitCommas(text).map((part) => yaml(part, key));

/** `2/8` */
export function parseShard(text: string): { index: number; of: number } {
  const [, index, of] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index), of: Number(of) };
  if (!(shard.index >= 1 && shard.index <= shard.of))
    throw new SweepError('--shard', `'${text}' is not a part such as 1/4, 2/4, 3/4, 4/4`);
  return shard;
}

function keyAndRest(text: string, flag: string, form: string): [string, string] {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1) throw new SweepError(flag, `'${text}' is not ${form}`);
  return [text.slice(0, at).trim(), text.slice(at + 1)];
}

/** At commas outside brackets and quotes. */
function splitCommas(text: string): string[] {
  const parts = [''];
  let depth = 0;
  let quote = '';
  for (const character of text) {
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if ('[{'.includes(character)) depth++;
    else if (']}'.includes(character)) depth--;
    if (character === ',' && depth === 0 && quote === '') parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function yaml(text: string, key: string): Json {
  try {
    return parse(text, { version: '1.2' }) as Json;
  } catch (error) {
    throw new SweepError(key, `'${text}' is not a value: ${(error as Error).message.split('\n')[0]}`);
  }
}
