import { expect, test, vi } from 'vitest';
import { FollowedCapture } from '../../../src/lab/sweep/followed-capture.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Pieces, each so many milliseconds after the one before; then nothing, until the signal. */
async function* pieces(signal: AbortSignal, timed: readonly (readonly [number, string])[]) {
  for (const [after, text] of timed) {
    await new Promise((resolve) => setTimeout(resolve, after));
    if (signal.aborted) return;
    yield base64(text);
  }
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

test('what the daemon sends a second late belongs to the capture', async () => {
  vi.useFakeTimers();
  try {
    const capture = new FollowedCapture((signal) =>
      pieces(signal, [
        [0, 'header '],
        [0, 'frames '],
        [1000, 'the last one '],
        [100, 'and its reception'],
      ]),
    );
    await vi.advanceTimersByTimeAsync(10);
    await capture.begun;
    let text = '';
    const finished = capture.finish(
      (octets) => {
        text += Buffer.from(octets).toString();
      },
      () => text.includes('last'),
    );
    await vi.advanceTimersByTimeAsync(2000);
    await finished;
    expect(text).toBe('header frames the last one and its reception');
    expect(Buffer.concat(capture.pieces).toString()).toBe(text);
  } finally {
    vi.useRealTimers();
  }
});

test('what never comes is not waited for without end; a daemon that ends is told by what is missing', async () => {
  vi.useFakeTimers();
  try {
    const silent = new FollowedCapture((signal) => pieces(signal, [[0, 'header']]));
    const ended = new FollowedCapture(async function* () {
      yield base64('header');
      throw new Error('the daemon ended');
    });
    for (const capture of [silent, ended]) {
      await vi.advanceTimersByTimeAsync(10);
      await capture.begun;
      let taken = 0;
      const finished = capture.finish(
        () => taken++,
        () => false,
      );
      await vi.advanceTimersByTimeAsync(11_000);
      await finished;
      expect(taken).toBe(1);
    }
  } finally {
    vi.useRealTimers();
  }
});
