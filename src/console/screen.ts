/**
 * A full-screen text view on a terminal: the alternate screen, redrawn in place, keys without Return. The terminal is put back
 * on every way out, also when the program throws.
 */
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';

export type Key = 'quit' | 'up' | 'down' | 'page-up' | 'page-down' | 'home';

const KEYS: Readonly<Record<string, Key>> = {
  q: 'quit',
  Q: 'quit',
  '\x03': 'quit',
  k: 'up',
  '\x1b[A': 'up',
  j: 'down',
  '\x1b[B': 'down',
  '\x1b[5~': 'page-up',
  '\x1b[6~': 'page-down',
  ' ': 'page-down',
  g: 'home',
  '\x1b[H': 'home',
};

export class Screen {
  readonly #input: NodeJS.ReadStream;
  readonly #output: NodeJS.WriteStream;
  readonly #onKey: (key: Key) => void;
  readonly #onResize: () => void;
  #lines: readonly string[] = [];
  #offset = 0;
  #open = false;

  constructor(onKey: (key: Key) => void, input = process.stdin, output = process.stdout) {
    this.#input = input;
    this.#output = output;
    this.#onKey = onKey;
    this.#onResize = () => this.#draw();
  }

  open(): void {
    this.#open = true;
    this.#output.write(ENTER);
    process.once('exit', this.#leave);
    this.#output.on('resize', this.#onResize);
    if (this.#input.isTTY) this.#input.setRawMode(true);
    this.#input.on('data', this.#key);
    this.#input.resume();
  }

  close(): void {
    if (!this.#open) return;
    process.removeListener('exit', this.#leave);
    this.#output.off('resize', this.#onResize);
    this.#input.off('data', this.#key);
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#input.pause();
    this.#leave();
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  readonly #leave = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#output.write(LEAVE);
  };

  readonly #key = (data: Buffer | string): void => {
    const key = KEYS[data.toString()];
    if (key === undefined) return;
    const page = Math.max(1, this.#rows - 2);
    if (key === 'home') this.#offset = 0;
    else if (key === 'up' || key === 'page-up') this.#offset -= key === 'up' ? 1 : page;
    else if (key === 'down' || key === 'page-down') this.#offset += key === 'down' ? 1 : page;
    this.#onKey(key);
    this.#draw();
  };

  get #rows(): number {
    return this.#output.rows || 24;
  }

  #draw(): void {
    if (!this.#open) return;
    const rows = this.#rows;
    const columns = this.#output.columns || 80;
    const last = Math.max(0, this.#lines.length - (rows - 1));
    this.#offset = Math.min(Math.max(0, this.#offset), last);
    const shown = this.#lines.slice(this.#offset, this.#offset + rows - 1).map((line) => line.slice(0, columns));
    const more =
      last > 0
        ? `, j and k scroll (${this.#offset + 1} to ${this.#offset + shown.length} of ${this.#lines.length})`
        : '';
    const footer = `q leaves${more}`;
    this.#output.write(`\x1b[H${[...shown, footer].map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J`);
  }
}
