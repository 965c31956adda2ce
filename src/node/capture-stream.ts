/**
 * A capture over the control socket: the pcapng stream in pieces, base64 because the socket speaks JSON lines. It ends when the
 * client goes away or, with `until: "end-of-ring"`, when all that was recorded so far has been sent.
 */
import { OmniError } from '../core/index.ts';
import { type CaptureSelection, TAPS, type Tap } from '../io/recorded-link.ts';
import type { Recorder } from '../io/recorder.ts';

export interface CaptureParams extends CaptureSelection {
  /** `ring`: begin with the oldest packet still recorded. Default `now`. */
  readonly from?: 'ring' | 'now';
  readonly until?: 'end-of-ring';
}

/** How often a capture that has caught up looks again. */
const POLL_MILLISECONDS = 50;
/** What is encoded at a time: some tenths of a millisecond's work. */
const SLICE_OCTETS = 1 << 14;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Throws OmniError OMNI_NO_SUCH_LINK or OMNI_REQUEST when the selection names what is not there. */
export async function* captureStream(recorder: Recorder, params: unknown): AsyncGenerator<string, void, void> {
  const { from, until, ...selection } = checked(recorder, (params ?? {}) as Record<string, unknown>);
  const capture = recorder.capture(selection, from ?? (until === undefined ? 'now' : 'ring'));
  try {
    for (;;) {
      const octets = capture.read(SLICE_OCTETS);
      if (octets !== undefined) {
        yield toBase64(octets);
        // Packets come first: the data plane runs on the same thread.
        await turn();
      } else if (until === 'end-of-ring') break;
      else await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    }
    yield toBase64(capture.finish());
  } finally {
    capture.close();
  }
}

function checked(recorder: Recorder, params: Record<string, unknown>): CaptureParams {
  const links = recorder.links.map((link) => link.name);
  const directions = ['up', 'down'];
  const nodes = recorder.links.flatMap((link) => link.directions.map((direction) => direction.from));
  return {
    ...list(params.links, links, 'link', 'OMNI_NO_SUCH_LINK', (value) => ({ links: value })),
    ...list(params.directions, directions, 'direction', 'OMNI_REQUEST', (value) => ({ directions: value })),
    ...list(params.taps, TAPS, 'tap', 'OMNI_REQUEST', (value) => ({ taps: value as Tap[] })),
    ...list(params.at === undefined ? undefined : [params.at], nodes, 'node', 'OMNI_REQUEST', ([at]) => ({ at: at! })),
    ...(params.from === 'ring' || params.from === 'now' ? { from: params.from } : {}),
    ...(Number(params.snapOctets) >= 1 ? { snapOctets: Number(params.snapOctets) } : {}),
    ...(params.until === 'end-of-ring' ? { until: params.until } : {}),
  };
}

function list<Selected>(
  value: unknown,
  known: readonly string[],
  what: string,
  code: `OMNI_${string}`,
  select: (value: string[]) => Selected,
): Selected | Record<string, never> {
  if (value === undefined) return {};
  const names = Array.isArray(value) ? value.map(String) : [String(value)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new OmniError(
      code,
      `there is no ${what} '${unknown}' to capture; there is ${[...new Set(known)].join(', ')}`,
    );
  return select(names);
}

const toBase64 = (octets: Uint8Array): string =>
  Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('base64');
