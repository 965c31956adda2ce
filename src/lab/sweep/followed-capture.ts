/**
 * A capture that is copied while a run goes on. The recorder sends what it has every 50 ms, and later when the machine lets the daemon
 * wait: the end of a run is there when its frames are, not after some time.
 */

/** Longer than any daemon that still answers was seen to wait. */
const WHOLE_MILLISECONDS = 10_000;
const LOOK_MILLISECONDS = 50;
/** From the last frame's being sent to its reception's being read. */
const REST_MILLISECONDS = 150;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class FollowedCapture {
  readonly pieces: Buffer[] = [];
  /** Resolves with the first piece: from then on nothing is missed. Also when the capture ended before. */
  readonly begun: Promise<void>;
  readonly #abort = new AbortController();
  readonly #copying: Promise<void>;

  /** @param open the capture's pieces in base 64, until the signal */
  constructor(open: (signal: AbortSignal) => AsyncIterable<unknown>) {
    let begin = () => {};
    const first = new Promise<void>((resolve) => {
      begin = resolve;
    });
    // What ends it (the signal, the daemon's end) shows in what is missing.
    this.#copying = this.#copy(open, begin).catch(() => {});
    this.begun = Promise.race([first, this.#copying]);
  }

  /** Ends the copying once it `isWhole`, or when that takes too long. All pieces are handed to `take`, in order. */
  async finish(take: (octets: Uint8Array) => void, isWhole: () => boolean): Promise<void> {
    let taken = 0;
    const takeAll = (): boolean => {
      for (; taken < this.pieces.length; taken++) take(this.pieces[taken]!);
      return isWhole();
    };
    const until = performance.now() + WHOLE_MILLISECONDS;
    while (!takeAll() && performance.now() < until) await pause(LOOK_MILLISECONDS);
    await pause(REST_MILLISECONDS);
    this.#abort.abort();
    await this.#copying;
    takeAll();
  }

  async #copy(open: (signal: AbortSignal) => AsyncIterable<unknown>, begin: () => void): Promise<void> {
    for await (const piece of open(this.#abort.signal)) {
      this.pieces.push(Buffer.from(String(piece), 'base64'));
      begin();
    }
  }
}
