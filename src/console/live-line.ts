/** One line on stderr that is redrawn in place; where stderr is not a terminal, a line now and then instead. */
export class LiveLine {
  readonly #output: NodeJS.WriteStream;
  #shown = '';
  #lastPlain = Number.NEGATIVE_INFINITY;

  constructor(output: NodeJS.WriteStream = process.stderr) {
    this.#output = output;
  }

  /** @param seconds a clock of the caller's: without a terminal at most one line in ten of them is written. */
  show(text: string, seconds: number): void {
    if (!this.#output.isTTY) {
      if (seconds - this.#lastPlain < 10) return;
      this.#lastPlain = seconds;
      this.#output.write(`${text}\n`);
      return;
    }
    const width = (this.#output.columns || 80) - 1;
    this.#shown = text.slice(0, width);
    this.#output.write(`\r${this.#shown}\x1b[K`);
  }

  /** Takes the line away, so that other text can follow. */
  clear(): void {
    if (this.#output.isTTY && this.#shown !== '') this.#output.write('\r\x1b[K');
    this.#shown = '';
  }
}

/** `[#####.....]` */
export function bar(share: number, width = 12): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
}
