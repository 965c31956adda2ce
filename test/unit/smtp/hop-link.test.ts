/** One next hop over a slow link: what it learned outlives the process, small mail passes large, and a silent peer is noticed. */
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, encodeEnvelope, secondsBetween, wallPlus } from '../../../src/apps/smtp/index.ts';
import { Rng } from '../../../src/core/index.ts';
import { START, twoRelays } from '../../support/mail/two-relays.ts';

const text = (octets: number) => `Subject: x\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(Math.ceil(octets / 80))}`;

async function started(passes: readonly (readonly [number, number])[]) {
  const relays = twoRelays(new Rng(7, 'hop-link'), passes);
  const { simulation, events } = relays;
  const until = (seconds: number) => simulation.runUntil(wallPlus(START, seconds));
  const starting = Promise.all([relays.ground.start(), relays.craft.start()]);
  await until(1);
  await starting;
  const deliveredAt = (id: string): number => {
    const event = events.find(({ line }) => line.startsWith(`event=delivered id=${id} `));
    return event === undefined ? Number.NaN : secondsBetween(START, event.at);
  };
  /** A submission, which takes its time: files are written. */
  const submit = async (octets: number, priority = 0): Promise<string> => {
    const handing = relays.hand(relays.ground, text(octets), priority);
    await simulation.runUntil(wallPlus(simulation.now, 0.1));
    const { id, reply } = await handing;
    expect(reply.code).toBe(250);
    return id;
  };
  return { ...relays, until, deliveredAt, submit };
}

describe('the learned cost of a link', () => {
  it('is known again after the process was killed', async () => {
    const { ground, linkOf, submit, until, simulation } = await started([[10, 600]]);
    for (let i = 0; i < 8; i++) await submit(500 + 900 * i);
    await until(120);
    const learned = linkOf(ground)!.estimator.model;
    expect(learned.quiet.setupSeconds).not.toBe(0.5);
    ground.kill();
    const restarting = ground.start();
    await until(121);
    await restarting;
    await submit(500);
    await simulation.runUntil(wallPlus(simulation.now, 0.1));
    expect(linkOf(ground)!.estimator.model).toEqual(learned);
  });

  it('is read from a file with care', async () => {
    const { ground, submit, until } = await started([[10, 600]]);
    const id = await submit(500);
    await until(60);
    const finished = decodeEnvelope(ground.disk.finished.get(id)!);
    const transfer = finished!.hops['craft.example']!.transfer!;
    expect(transfer).toMatchObject({ path: 'quiet', first: true, planRate: 1200, setup: { path: 'quiet' } });
    expect(decodeEnvelope(encodeEnvelope(finished!))).toEqual({
      ...finished!,
      // The file has milliseconds.
      arrived: expect.anything(),
      hops: { 'craft.example': { ...finished!.hops['craft.example']!, lastAttempt: expect.anything() } },
    });
    for (const bad of [
      1,
      null,
      { ...transfer, seconds: -1 },
      { ...transfer, octets: '500' },
      { ...transfer, seconds: Number.MAX_VALUE * 2 },
      { ...transfer, path: 'loud' },
      { ...transfer, first: 1 },
    ]) {
      const raw = JSON.parse(encodeEnvelope(finished!));
      raw.hops['craft.example'].transfer = bad;
      expect(decodeEnvelope(JSON.stringify(raw))!.hops['craft.example']!.transfer).toBeUndefined();
    }
    const raw = JSON.parse(encodeEnvelope(finished!));
    Object.assign(raw.hops['craft.example'].transfer, { planRate: 0, setup: { seconds: 'long' } });
    const read = decodeEnvelope(JSON.stringify(raw))!.hops['craft.example']!.transfer!;
    expect(read.planRate).toBeUndefined();
    expect(read.setup).toBeUndefined();
  });
});

describe('a message on its way', () => {
  it('gives way to a much smaller one of its class, and goes on where it was', async () => {
    const { submit, until, deliveredAt, craft, events } = await started([[10, 600]]);
    const large = await submit(200_000);
    await until(60);
    const small = await submit(1000);
    await until(600);
    expect(deliveredAt(small)).toBeLessThan(66);
    // 200,000 octets take 176 s at this rate; beginning anew would have cost 50 more.
    expect(deliveredAt(large)).toBeLessThan(200);
    expect(craft.mailbox.size).toBe(2);
    expect(events.filter(({ line }) => line.startsWith('event=preempted'))).toHaveLength(1);
  });

  it('does not for one of a tenth of what is left, nor for one of lower priority', async () => {
    const { submit, until, deliveredAt } = await started([[10, 600]]);
    const large = await submit(100_000);
    await until(40);
    const similar = await submit(20_000);
    const lower = await submit(500, -4);
    await until(600);
    expect(deliveredAt(large)).toBeLessThan(deliveredAt(similar));
    expect(deliveredAt(similar)).toBeLessThan(deliveredAt(lower));
  });

  it('is tried again seconds after the link fell silent, once replies are known to take less', async () => {
    const { link, submit, until, deliveredAt, simulation } = await started([[10, 600]]);
    for (let i = 0; i < 5; i++) await submit(2000);
    await until(60);
    link.outage(3);
    const id = await submit(2000);
    const at = secondsBetween(START, simulation.now);
    await until(200);
    expect(deliveredAt(id) - at).toBeLessThan(12);
  });
});
