/**
 * Pathnames as the client writes them → absolute pathnames of the account's tree (RFC 3659 section 6, TVFS).
 *
 * Pure text: `..` goes up lexically and stops at the root, so the result never names anything above it. Links are the file
 * adapter's part (src/io/ftp-files.ts): it checks that the real path lies inside the root too.
 */
import { fail, ok, type Result } from '../../core/index.ts';

export const PATH_LIMIT_OCTETS = 4096;
/** NAME_MAX of Linux's file systems. */
export const NAME_LIMIT_OCTETS = 255;
/** Uploads are written beside their target under this prefix; the names are ours alone and no client sees or names one. */
export const UPLOAD_PREFIX = '.omni-upload.';

export type PathReason = 'path-invalid' | 'path-too-long';

/** The absolute pathname, without `.`, `..`, doubled or trailing slashes. `/` is the root. */
export function resolvePath(workingDirectory: string, argument: string): Result<string, PathReason> {
  if (argument.includes('\0')) return fail('path-invalid');
  if (argument.length > PATH_LIMIT_OCTETS) return fail('path-too-long');
  const names: string[] = [];
  const all = argument.startsWith('/') ? argument : `${workingDirectory}/${argument}`;
  for (const name of all.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') names.pop();
    else if (name.length > NAME_LIMIT_OCTETS) return fail('path-too-long');
    else if (name.startsWith(UPLOAD_PREFIX)) return fail('path-invalid');
    else names.push(name);
  }
  const path = `/${names.join('/')}`;
  return path.length > PATH_LIMIT_OCTETS ? fail('path-too-long') : ok(path);
}

export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
export const joinPath = (directory: string, name: string): string =>
  directory === '/' ? `/${name}` : `${directory}/${name}`;
