/** Packets held on disk for a contact outlive the daemon: killed without warning, brought up again, sent once, in order. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { noTestbeds, outcome, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds();
if (reason !== undefined) console.log(`skipped: hold on disk: ${reason}`);

/** The only contact is too far away for the first run and comes soon in the second. */
const scenario = (firstContact: string) => `
name: held
nodes:
  sc: { kind: spacecraft, address: 10.77.0.1 }
  gs: { kind: ground-station, address: 10.77.0.2 }
links:
  space:
    between: [gs, sc]
    up: { rate: 64k, delay: 1ms }
    down: { rate: 64k, delay: 1ms }
    contacts: { period: 1h, duration: 30min, first: ${firstContact} }
classes:
  - { name: all, hold: { octets: 1MiB, age: 1h, storage: disk } }
`;
const COUNT = 60;
const send = (from: number, to: number) => `
const socket = require('dgram').createSocket('udp4');
let i = ${from};
const next = () => i < ${to} ? socket.send(String(i++), 7777, '10.77.0.1', next) : socket.close();
next();`;
const RECEIVE = `
const seen = [];
const socket = require('dgram').createSocket('udp4');
socket.on('message', (m) => { seen.push(Number(m)); if (seen.at(-1) === ${COUNT}) setTimeout(() => { console.log(JSON.stringify(seen)); socket.close(); }, 500); });
socket.bind(7777, () => console.log('ready'));`;

describe.skipIf(reason !== undefined)('hold on disk', () => {
  const sandbox = new TestbedSandbox('omh');
  afterAll(() => sandbox.close());

  test('nothing lost, nothing twice, after kill -9 of the daemon', async () => {
    const name = sandbox.prefix;
    const file = join(sandbox.directory, 'held.yaml');
    const node = (on: string, program: string) => [
      'exec',
      '--testbed',
      name,
      on,
      '--',
      process.execPath,
      '-e',
      program,
    ];
    writeFileSync(file, scenario('20min'));
    const up = await sandbox.run('up', file, '--name', name, '--json');
    expect(up.code, up.stderr).toBe(0);
    expect((await sandbox.run(...node('gs', send(0, COUNT)))).code).toBe(0);
    const [before] = JSON.parse((await sandbox.run('status', name, '--json')).stdout);
    expect(JSON.stringify(before.dataPlane.nodes)).toContain(`"queuedPackets":${COUNT}`);
    process.kill(before.pid, 'SIGKILL');

    writeFileSync(file, scenario('4s'));
    const again = await sandbox.run('up', file, '--name', name, '--json');
    expect(again.code, again.stderr).toBe(0);
    const receiver = sandbox.start(node('sc', RECEIVE));
    const received = outcome(receiver);
    await new Promise<void>((resolve) => receiver.stdout!.once('data', () => resolve()));
    // One more than before, sent now: it goes behind those that waited.
    expect((await sandbox.run(...node('gs', send(COUNT, COUNT + 1)))).code).toBe(0);
    const { stdout, stderr } = await received;
    expect(stderr).toBe('');
    expect(JSON.parse(stdout.split('\n').at(-2)!)).toEqual(Array.from({ length: COUNT + 1 }, (_, i) => i));
    const [after] = JSON.parse((await sandbox.run('status', name, '--json')).stdout);
    expect(after.dataPlane.alarms).toEqual([]);
    const held = join(sandbox.directory, 'state', name, 'held', 'gs.space.all.hold');
    expect(readFileSync(held).length).toBe(9);
  });
});
