/** A million hostile datagrams: random octets, bent copies of true commands, and true ones replayed. Nothing changes. */
import { expect, test } from 'vitest';
import { CommandReceiver } from '../../src/apps/command/index.ts';
import { SPACECRAFT } from '../../src/apps/telemetry/index.ts';
import { instant, Rng, type WallTime } from '../../src/core/index.ts';
import { KEYS, telecommand } from '../support/command.ts';

test('1,000,000 fuzzed datagrams change nothing', () => {
  const rng = new Rng(20_000_614, 'command/fuzz');
  const receiver = new CommandReceiver({
    dictionary: SPACECRAFT,
    keys: KEYS,
    scheduleLength: 10,
    lateSeconds: 60,
    time: () => 1_800_000_000_000_000_000n as WallTime,
    now: instant(0),
  });
  const genuine = ['ping', 'reboot', 'queue-flush'].map((name, i) => telecommand(name, {}, i + 1));
  for (const octets of genuine) receiver.handleInput({ kind: 'packet', octets }, instant(0));
  let versions = 0;
  for (let e = receiver.pollEvent(); e !== undefined; e = receiver.pollEvent())
    if (e.kind === 'save') versions = e.version;
  expect(versions).toBe(3);
  const before = JSON.stringify(receiver.status());
  let refused = 0;
  for (let i = 0; i < 1_000_000; i++) {
    let octets: Uint8Array;
    const kind = rng.below(4);
    if (kind === 0) {
      octets = new Uint8Array(rng.below(120));
      rng.fill(octets);
    } else if (kind === 1) octets = genuine[rng.below(3)]!.slice();
    else {
      octets = genuine[rng.below(3)]!.slice();
      // One to four bits bent, and sometimes cut short or made longer.
      for (let n = 1 + rng.below(4); n > 0; n--) octets[rng.below(octets.length)]! ^= 1 << rng.below(8);
      if (kind === 3)
        octets = rng.below(2) === 0 ? octets.subarray(0, rng.below(octets.length)) : Uint8Array.from([...octets, 0, 1]);
    }
    // Bits bent twice may be straight again: that is a replay, refused all the same.
    receiver.handleInput({ kind: 'packet', octets }, instant(1));
    refused++;
    if (receiver.pollEvent() !== undefined) throw new Error(`datagram ${i} had an effect`);
  }
  expect(receiver.counters.sum('refused.')).toBe(refused);
  expect(receiver.counters.get('accepted')).toBe(0);
  const after = { ...receiver.status(), counters: {}, lastRefusal: 'none' };
  expect({ ...after }).toEqual({ ...JSON.parse(before), counters: {}, lastRefusal: 'none' });
  console.log(JSON.stringify(receiver.counters.snapshot()));
});
