/**
 * Command loads by mail, end to end in a real testbed: a sequence of telecommands is signed and mailed on the ground with
 * `omni command-load`, crosses the space link, is carried out on board by the command processor at once or at its time, also when the
 * spacecraft's process is killed in between, and its receipt and its result come back by mail.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { controlRequest } from '../../src/testbed/control.ts';
import type { DaemonStatus } from '../../src/testbed/daemon.ts';
import { noTestbeds, OMNI, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds();
if (reason !== undefined) console.log(`skipped: command loads by mail: ${reason}`);
const KEY = '5a'.repeat(32);
const SECRET = 'the secret of the mailbox';

describe.skipIf(reason !== undefined)('command loads by mail', () => {
  const sandbox = new TestbedSandbox('ocl');
  const name = sandbox.prefix;
  const state = (node: string) => join(sandbox.directory, 'state', name, node);
  const until = async (what: string, condition: () => boolean | Promise<boolean>) => {
    for (const end = performance.now() + 120_000; !(await condition()); )
      if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
      else await new Promise((resolve) => setTimeout(resolve, 100));
  };
  const mails = (box: string): string[] => {
    const folder = join(state('surrey'), 'mail', box, 'new');
    try {
      return readdirSync(folder).map((file) => readFileSync(join(folder, file), 'latin1'));
    } catch {
      return [];
    }
  };
  const mailOf = (subject: RegExp) => mails('ops').find((mail) => subject.test(/^Subject: .*$/m.exec(mail)?.[0] ?? ''));
  const spacecraft = async () => {
    const socket = join(sandbox.directory, 'run', name, 'control.sock');
    const { apps } = (await controlRequest(socket, 'status')) as DaemonStatus;
    return apps.find(({ node }) => node === 'spacecraft')!;
  };
  async function mail(file: string, commands: readonly string[][], ...options: readonly string[]): Promise<void> {
    const load = join(sandbox.directory, file);
    for (const words of commands)
      expect(await sandbox.run('cmd', 'spacecraft', ...words, '--key', `1:${KEY}`, '--out', load)).toMatchObject({
        code: 0,
      });
    const secret = join(sandbox.directory, 'secret');
    writeFileSync(secret, SECRET);
    const sign = [
      '--from',
      'ops@surrey',
      '--key',
      'ops',
      '--secret-file',
      secret,
      '--smtp',
      '127.0.0.1:25',
      ...options,
    ];
    const words = [process.execPath, OMNI, 'command-load', load, '--to', 'commands@spacecraft', ...sign];
    expect(await sandbox.run('exec', 'surrey', '--', ...words)).toMatchObject({ code: 0 });
  }
  afterAll(() => sandbox.close());

  test('are carried out once, at once and at their time, over a kill; the result comes back by mail', async () => {
    sandbox.environment.XDG_STATE_HOME = join(sandbox.directory, 'home');
    const scenario = join(sandbox.directory, 'loads.yaml');
    writeFileSync(
      scenario,
      `
name: ${name}
nodes:
  spacecraft:
    kind: spacecraft
    address: 10.97.5.1
    camera: {}
    ftp: {}
    command: { keys: [{ id: 1, hmacSha256: ${KEY} }] }
    smtp:
      routes: [{ domain: '*', host: surrey }]
      commands: { folder: loads-of-mail, keys: [{ id: ops, secret: ${SECRET} }], operator: chief@surrey }
  surrey:
    kind: ground-station
    address: 10.97.5.2
    smtp: { routes: [{ domain: spacecraft, host: spacecraft }] }
links:
  space:
    between: [surrey, spacecraft]
    up: { rate: 64k, delay: 10ms }
    down: { rate: 64k, delay: 10ms }
`,
    );
    expect(await sandbox.run('up', scenario)).toMatchObject({ code: 0 });
    // The other load has to be done before this one's time.
    const time = new Date(Date.now() + 6_000);
    await mail(
      'later.tc',
      [
        ['camera-take', 'octets=20000'],
        ['mode', 'mode=safe'],
      ],
      '--at',
      time.toISOString(),
    );
    await mail('now.tc', [['ping'], ['file-delete', 'path=nothing', '--yes']]);
    await until('the result of the load to run at once', () => mailOf(/run: now\.tc/) !== undefined);
    expect(mailOf(/stored: now\.tc/)).toMatch(/X-Omni-SHA-256: [0-9a-f]{64}\n/);
    expect(mailOf(/run: now\.tc: 1 of 2 completed/)).toMatch(
      /1 {2}ping \(key 1, counter \d+\): completed: pong\n +2 {2}file-delete .*: failed: there is no file 'nothing'\n/,
    );
    // What failed is the operator's business too.
    await until('the note to the operator', () => mails('chief').some((text) => text.includes('run: now.tc')));
    await until('the receipt of the load with a time', () => mailOf(/stored: later\.tc/) !== undefined);
    expect(mailOf(/stored: later\.tc/)).toContain(`Runs:    ${time.toISOString()}`);

    const { pid } = await spacecraft();
    expect(Date.now()).toBeLessThan(time.getTime());
    process.kill(pid, 'SIGKILL');
    await until('the process to be back', async () => (await spacecraft()).pid !== pid);
    expect(mailOf(/run: later\.tc/)).toBeUndefined();
    await until('the result of the load with a time', () => mailOf(/run: later\.tc/) !== undefined);
    expect(mailOf(/run: later\.tc: 2 of 2 completed/)).toBeDefined();
    const picture = readdirSync(join(state('spacecraft'), 'files')).find((file) => file.endsWith('.png'))!;
    // The picture's name is the second in which it was taken.
    const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-/.exec(picture)!;
    const late = (Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`) - Math.floor(time.getTime() / 1000) * 1000) / 1000;
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThanOrEqual(5);
    expect(mails('ops').filter((text) => /run: /.test(text))).toHaveLength(2);
    const status = JSON.parse((await sandbox.run('status', '--json')).stdout);
    expect(JSON.stringify(status)).toContain('"commands":2,"completed":2');
  }, 120_000);
});
