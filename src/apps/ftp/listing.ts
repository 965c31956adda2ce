/** What LIST, NLST, MLSD, MLST and STAT show of a directory entry, and the name patterns that clients put into them. */
import { formatListTime, formatTimeValue } from './calendar.ts';
import type { Account, Entry } from './operations.ts';

const BITS = ['---', '--x', '-w-', '-wx', 'r--', 'r-x', 'rw-', 'rwx'] as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: names may hold them, lines may not
const CONTROL = /[\x00-\x1f\x7f]/g;

/** The common `ls -l` form, which every client parses. Times are UTC. */
export function listLine(entry: Entry, nowMs: number): string {
  const kind = entry.type === 'directory' ? 'd' : entry.type === 'file' ? '-' : '?';
  const mode = BITS[(entry.mode >>> 6) & 7]! + BITS[(entry.mode >>> 3) & 7]! + BITS[entry.mode & 7]!;
  const links = String(entry.links).padStart(4);
  const size = String(entry.size).padStart(12);
  const time = formatListTime(entry.modifiedMs, nowMs);
  return `${kind}${mode} ${links} ftp      ftp      ${size} ${time} ${entry.name.replace(CONTROL, '?')}\r\n`;
}

/** A line of names can hold no CR or LF: such a name is left out of NLST and MLSD, and LIST shows it with `?`. */
export const fitsLine = (name: string): boolean => !/[\r\n]/.test(name);

/** Facts in the order and case that FEAT announces (RFC 3659 section 7.5). */
export const FACTS = ['Type', 'Size', 'Modify', 'Perm', 'Unique', 'UNIX.mode'] as const;
export type Fact = (typeof FACTS)[number];

export function factsOf(entry: Entry, wanted: ReadonlySet<Fact>, account: Account, type?: 'cdir' | 'pdir'): string {
  let text = '';
  for (const fact of FACTS) {
    if (!wanted.has(fact)) continue;
    const value = factValue(fact, entry, account, type);
    if (value !== undefined) text += `${fact}=${value};`;
  }
  return text;
}

function factValue(fact: Fact, entry: Entry, account: Account, type: string | undefined): string | undefined {
  switch (fact) {
    case 'Type':
      return type ?? (entry.type === 'directory' ? 'dir' : entry.type === 'file' ? 'file' : 'OS.unix=other');
    case 'Size':
      return entry.type === 'file' ? String(entry.size) : undefined;
    case 'Modify':
      return formatTimeValue(Math.floor(entry.modifiedMs / 1000) * 1000);
    case 'Perm':
      return permissions(entry, account);
    case 'Unique':
      return `${entry.device.toString(36)}g${entry.inode.toString(36)}`;
    case 'UNIX.mode':
      return `0${(entry.mode & 0o7777).toString(8).padStart(3, '0')}`;
  }
}

/** RFC 3659 section 7.5.5. What the account may do; the operating system has the last word. */
function permissions(entry: Entry, account: Account): string {
  if (entry.type === 'directory') return account.writable ? 'cdeflmp' : 'el';
  return account.writable ? 'adfrw' : 'r';
}

const PATTERN_CHARACTERS = /[*?[]/;
export const isPattern = (name: string): boolean => PATTERN_CHARACTERS.test(name);

/**
 * Does the name match the shell pattern (`*`, `?`, `[a-z]`, `[!a]`)? Takes time in proportion to pattern × name at most, because
 * only the last `*` is ever gone back to. A leading dot must be written out.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false;
  let p = 0;
  let n = 0;
  let starP = -1;
  let starN = 0;
  while (n < name.length) {
    const step = p < pattern.length && pattern[p] !== '*' ? matchOne(pattern, p, name[n]!) : 0;
    if (step > 0) {
      p += step;
      n++;
    } else if (pattern[p] === '*') {
      starP = p++;
      starN = n;
    } else if (starP >= 0) {
      p = starP + 1;
      n = ++starN;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/** How many characters of the pattern match this one character; 0 when they do not. */
function matchOne(pattern: string, at: number, character: string): number {
  const first = pattern[at]!;
  if (first === '?') return 1;
  if (first === '\\' && at + 1 < pattern.length) return pattern[at + 1] === character ? 2 : 0;
  if (first !== '[') return first === character ? 1 : 0;
  const negated = pattern[at + 1] === '!' || pattern[at + 1] === '^';
  const begin = at + (negated ? 2 : 1);
  const end = pattern.indexOf(']', begin + 1);
  if (end < 0) return character === '[' ? 1 : 0;
  let found = false;
  for (let i = begin; i < end; i++) {
    if (pattern[i + 1] === '-' && i + 2 < end) {
      if (character >= pattern[i]! && character <= pattern[i + 2]!) found = true;
      i += 2;
    } else if (pattern[i] === character) found = true;
  }
  return found === negated ? 0 : end - at + 1;
}
