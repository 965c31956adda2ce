import { describe, expect, test } from 'vitest';
import { TCP_FLAG } from '../../src/ip/index.ts';
import { type FlowSummary, type TcpSegment, TcpTrace } from '../../src/lab/trace/index.ts';

const SENDER = '10.0.0.1:20';
const RECEIVER = '10.0.0.2:4000';
/** Near the top, so that every test wraps. */
const FIRST = 0xffff_ff00;
const MSS = 512;

/** A trace at the sender, written as a script; sequence numbers in segments. */
class Script {
  readonly trace = new TcpTrace();

  constructor() {
    this.#add({ at: 0, source: SENDER, destination: RECEIVER, sequence: FIRST, flags: TCP_FLAG.syn });
    this.#add({
      at: 0.1,
      source: RECEIVER,
      destination: SENDER,
      flags: TCP_FLAG.syn | TCP_FLAG.ack,
      acknowledgment: FIRST + 1,
    });
  }
  data(at: number, ...segments: number[]): this {
    for (const n of segments)
      this.#add({ at, source: SENDER, destination: RECEIVER, sequence: FIRST + 1 + n * MSS, payloadOctets: MSS });
    return this;
  }
  /** The receiver has everything below segment n; `sack` as pairs of segments. */
  ack(at: number, n: number, ...sack: [number, number][]): this {
    const edge = (s: number): number => (FIRST + 1 + s * MSS) >>> 0;
    return this.#add({
      at,
      source: RECEIVER,
      destination: SENDER,
      acknowledgment: edge(n),
      sack: sack.map(([left, right]) => ({ left: edge(left), right: edge(right) })),
    });
  }
  flow(): FlowSummary {
    return this.trace.connections()[0]!.toServer;
  }
  #add(fields: Partial<TcpSegment> & { at: number; source: string; destination: string }): this {
    const { sequence = 0, acknowledgment = 0 } = fields;
    this.trace.add({
      flags: TCP_FLAG.ack,
      window: 65535,
      payloadOctets: 0,
      sack: [],
      ipId: 0,
      label: 0,
      ...fields,
      sequence: sequence >>> 0,
      acknowledgment: acknowledgment >>> 0,
    });
    return this;
  }
}

const NONE = { fast: 0, timeout: 0, probe: 0, total: 0, spurious: 0 };

describe('retransmissions by cause', () => {
  test('none when nothing is sent twice; octets, time and goodput', () => {
    const flow = new Script().data(1, 0, 1, 2).ack(1.5, 1).ack(2, 3).flow();
    expect(flow.retransmissions).toEqual(NONE);
    expect(flow).toMatchObject({ octets: 3 * MSS, dataSegments: 3, seconds: 1, goodputBitPerSecond: 3 * MSS * 8 });
    expect(flow.roundTrip).toMatchObject({ samples: 3, greatest: 1 });
  });

  test('three duplicate acknowledgments: fast', () => {
    const flow = new Script()
      .data(1, 0, 1, 2, 3, 4)
      .ack(1.5, 1)
      .ack(1.6, 1)
      .ack(1.7, 1)
      .ack(1.8, 1)
      .data(1.8001, 1)
      .ack(2.4, 5)
      .flow();
    expect(flow.retransmissions).toEqual({ ...NONE, fast: 1, total: 1 });
    expect(flow.duplicateAcknowledgments).toBe(3);
    // Karn: the segment sent twice gives no sample, those acknowledged with it do not hide it.
    expect(flow.roundTrip?.least).toBeCloseTo(0.1);
  });

  test('a partial acknowledgment in that recovery: fast again (NewReno)', () => {
    const flow = new Script()
      .data(1, 0, 1, 2, 3, 4, 5)
      .ack(1.5, 0)
      .ack(1.6, 0)
      .ack(1.7, 0)
      .data(1.7, 0)
      .ack(2.2, 3)
      .data(2.2, 3)
      .ack(2.8, 6)
      .flow();
    expect(flow.retransmissions).toEqual({ ...NONE, fast: 2, total: 2 });
  });

  test('two duplicates are not enough: the timer, and all sent again after it', () => {
    const flow = new Script()
      .data(1, 0, 1, 2)
      .ack(1.5, 0)
      .ack(1.6, 0)
      .data(3, 0)
      .ack(3.5, 1)
      .data(3.5, 1, 2)
      .ack(4, 3)
      .data(4, 3)
      .ack(4.5, 4)
      .flow();
    expect(flow.retransmissions).toEqual({ ...NONE, timeout: 3, total: 3 });
    expect(flow.octets).toBe(4 * MSS);
  });

  test('a retransmission lost in recovery needs the timer', () => {
    const flow = new Script()
      .data(1, 0, 1, 2, 3, 4)
      .ack(1.5, 0)
      .ack(1.6, 0)
      .ack(1.7, 0)
      .data(1.7, 0)
      .ack(1.8, 0)
      .data(4.5, 0)
      .ack(5, 5)
      .flow();
    expect(flow.retransmissions).toEqual({ ...NONE, fast: 1, timeout: 1, total: 2 });
  });

  test('SACK blocks above it: fast with one acknowledgment', () => {
    const flow = new Script().data(1, 0, 1, 2, 3).ack(1.5, 1, [2, 4]).data(1.501, 1).ack(2, 4).flow();
    expect(flow.retransmissions).toEqual({ ...NONE, fast: 1, total: 1 });
  });

  test('the last segment again after a quiet of two round trips: a probe', () => {
    const flow = new Script().data(1, 0, 1, 2, 3).ack(1.5, 1).ack(1.5, 2).data(1.9, 3).ack(2.4, 4).flow();
    expect(flow.retransmissions).toEqual({ ...NONE, probe: 1, total: 1 });
  });

  test('a D-SACK proves one spurious', () => {
    const flow = new Script().data(1, 0, 1).ack(1.5, 1).data(4, 1).ack(4.1, 2).ack(4.5, 2, [1, 2]).flow();
    expect(flow.retransmissions).toEqual({ ...NONE, timeout: 1, total: 1, spurious: 1 });
  });

  test('an acknowledgment sooner than light proves one spurious', () => {
    const flow = new Script().data(1, 0, 1).ack(1.5, 1).data(4, 1).ack(4.05, 2).flow();
    expect(flow.retransmissions).toMatchObject({ total: 1, spurious: 1 });
  });
});

test('the same ports again are another connection', () => {
  const script = new Script().data(1, 0).ack(1.2, 1);
  script.trace.add({
    at: 5,
    source: SENDER,
    destination: RECEIVER,
    sequence: 77,
    acknowledgment: 0,
    flags: TCP_FLAG.syn,
    window: 1,
    payloadOctets: 0,
    sack: [],
    ipId: 1,
    label: 9,
  });
  expect(script.trace.connections().map((c) => [c.beganAt, c.toServer.octets])).toEqual([
    [0, MSS],
    [5, 0],
  ]);
});
