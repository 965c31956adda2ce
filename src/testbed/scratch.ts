/**
 * A sweep's working directory: what its clients send and receive may be larger than /run, which is memory. It lies in the system's
 * temporary directory and is listed in the run directory before it is made, so that the next sweep, or `omni down --all`, removes what a killed one left.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './processes.ts';
import { runRoot } from './run-directory.ts';

const LISTED = /^scratch-[0-9a-f-]{36}\.json$/;

interface Listing {
  readonly directory: string;
  readonly owner: ProcessIdentity;
}

export class Scratch {
  readonly directory: string;
  readonly #listing: string;

  constructor(owner: ProcessIdentity = identify(process.pid)!) {
    const id = randomUUID();
    this.directory = join(tmpdir(), `omni-sweep-${id}`);
    this.#listing = join(runRoot(), `scratch-${id}.json`);
    mkdirSync(runRoot(), { recursive: true, mode: 0o755 });
    writeFileSync(this.#listing, `${JSON.stringify({ directory: this.directory, owner } satisfies Listing)}\n`);
    mkdirSync(this.directory, { mode: 0o700 });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.#listing, { force: true });
    removeRunRootIfEmpty();
  }
}

/** Removes the directories of sweeps that are no more. @returns how many */
export function removeOrphanedScratch(): number {
  let removed = 0;
  for (const name of listings()) {
    const listing = join(runRoot(), name);
    const { directory, owner } = read(listing);
    if (owner !== undefined && isAlive(owner)) continue;
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    rmSync(listing, { force: true });
    removed++;
  }
  if (removed > 0) removeRunRootIfEmpty();
  return removed;
}

function listings(): string[] {
  try {
    return readdirSync(runRoot()).filter((name) => LISTED.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Empty when a crash cut the listing short: then no directory had been made yet. */
function read(listing: string): Partial<Listing> {
  try {
    return JSON.parse(readFileSync(listing, 'utf8')) as Listing;
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function removeRunRootIfEmpty(): void {
  try {
    rmdirSync(runRoot());
  } catch {
    // Testbeds or other sweeps have their things there.
  }
}
