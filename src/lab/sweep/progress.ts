/** How far a sweep is and how long it will take: by the seconds that its runs are expected to need, corrected by those they took. */
export interface SweepProgress {
  readonly done: number;
  readonly total: number;
  readonly running: number;
  /** Runs that are made again because the emulator was late or the run failed. */
  readonly repeated: number;
  /** Undefined until something is known. */
  readonly secondsLeft: number | undefined;
}

export class ProgressClock {
  readonly #total: number;
  readonly #startedAt: number;
  #done = 0;
  #running = 0;
  #repeated = 0;
  #expectedDone = 0;
  #expectedLeft: number;

  constructor(expectedSeconds: readonly number[], now: number) {
    this.#total = expectedSeconds.length;
    this.#expectedLeft = expectedSeconds.reduce((sum, seconds) => sum + seconds, 0);
    this.#startedAt = now;
  }

  begin(): void {
    this.#running++;
  }

  /** @param again it has to be made once more */
  end(expectedSeconds: number, again: boolean): void {
    this.#running--;
    this.#expectedDone += expectedSeconds;
    if (again) this.#repeated++;
    else {
      this.#done++;
      this.#expectedLeft -= expectedSeconds;
    }
  }

  snapshot(now: number): SweepProgress {
    const elapsed = now - this.#startedAt;
    const known = this.#done > 0 && elapsed > 0;
    return {
      done: this.#done,
      total: this.#total,
      running: this.#running,
      repeated: this.#repeated,
      secondsLeft: known ? (Math.max(0, this.#expectedLeft) * elapsed) / this.#expectedDone : undefined,
    };
  }
}
