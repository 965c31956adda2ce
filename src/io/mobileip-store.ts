/**
 * The home agent's bindings on disk: one JSON line per change, the last line of a home address counts. A line is written in one
 * call before the reply leaves, so that a killed process has lost nothing that it confirmed; the file is written anew, and
 * renamed into place, at the start and when it has grown. Lifetimes are kept as times of the host's clock.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { type Instant, NEVER, seconds } from '../core/index.ts';
import type { Binding, StoredMobileNode } from '../mobileip/index.ts';

const LARGEST_JOURNAL_OCTETS = 4_194_304;

interface Line {
  readonly homeAddress: number;
  readonly accepted: string;
  readonly nonce: number;
  readonly bindings: readonly (Omit<Binding, 'identification' | 'registeredAt' | 'expiresAt'> & {
    readonly identification: string;
    /** Milliseconds since 1970, or null for never. */
    readonly expires: number | null;
  })[];
}

export class BindingStore {
  readonly #file: string;
  #fd: number;
  #octets = 0;
  readonly #lines = new Map<number, string>();

  constructor(file: string) {
    this.#file = file;
    for (const line of readLines(file)) this.#lines.set(line.homeAddress, JSON.stringify(line));
    this.#fd = this.#rewrite();
  }

  /** What an earlier process had; `now` is the instant of this call. */
  load(now: Instant): StoredMobileNode[] {
    const wall = Date.now();
    return [...this.#lines.values()].map((text) => {
      const { homeAddress, accepted, nonce, bindings } = JSON.parse(text) as Line;
      return {
        homeAddress,
        replay: { accepted: BigInt(accepted), nonce },
        bindings: bindings.map(({ expires, identification, ...binding }) => ({
          ...binding,
          identification: BigInt(identification),
          registeredAt: now,
          expiresAt: expires === null ? NEVER : ((now + seconds((expires - wall) / 1000)) as Instant),
        })),
      };
    });
  }

  /** Throws what the file system throws; then the binding must not be confirmed. */
  save({ homeAddress, replay, bindings }: StoredMobileNode, now: Instant): void {
    const wall = Date.now();
    const line: Line = {
      homeAddress,
      accepted: String(replay.accepted),
      nonce: replay.nonce,
      bindings: bindings.map(({ registeredAt: _, expiresAt, identification, ...binding }) => ({
        ...binding,
        identification: String(identification),
        expires: expiresAt === NEVER ? null : wall + (expiresAt - now) / 1e6,
      })),
    };
    const text = JSON.stringify(line);
    this.#lines.set(homeAddress, text);
    this.#octets += writeSync(this.#fd, `${text}\n`);
    if (this.#octets > LARGEST_JOURNAL_OCTETS) {
      closeSync(this.#fd);
      this.#fd = this.#rewrite();
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #rewrite(): number {
    const text = [...this.#lines.values()].map((line) => `${line}\n`).join('');
    const temporary = `${this.#file}.new`;
    const fd = openSync(temporary, 'w', 0o600);
    writeFileSync(fd, text);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, this.#file);
    this.#octets = 0;
    return openSync(this.#file, 'a', 0o600);
  }
}

/** A last line that a crash cut short is left out. */
function readLines(file: string): Line[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line): Line[] => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}
