/** Command loads signed by S/MIME with the real openssl, by it directly as a mail program would and by `omni command-load`. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mailSettings } from '../../../src/apps/smtp/settings.ts';
import { command } from '../../../src/cli/verbs/command-load.ts';
import type { WallTime } from '../../../src/core/index.ts';
import { startMailApplications } from '../../../src/io/mail-applications.ts';
import { readCertificates, verifySmime } from '../../../src/io/smime.ts';
import { type LocalRelay, localRelay } from '../../support/mail/local-relay.ts';

const missing = spawnSync('openssl', ['version']).status === 0 ? undefined : 'openssl is not installed';
if (missing !== undefined) console.log(`skipped: S/MIME: ${missing}`);

let folder = '';
const file = (name: string) => join(folder, name);
const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'ignore'] });
const content = randomBytes(5000);
let entity = '';
const sign = (who: string, what = entity, ...more: string[]) => {
  writeFileSync(file('entity'), what);
  const words = ['-signer', file(`${who}.pem`), '-inkey', file(`${who}.key`), '-in', file('entity'), ...more];
  return String(openssl('cms', '-sign', ...words)).replace(/\r?\n/g, '\r\n');
};

let shift = 0;
const now = () => (BigInt(Date.now() + shift) * 1_000_000n) as WallTime;
const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  shift = 0;
  for (const end of running.splice(0).reverse()) await end();
});

async function node(): Promise<LocalRelay> {
  const r = await localRelay();
  const commands = {
    certificates: [{ id: 'ops', file: file('ops.pem'), senders: ['ops@relay.test'] }],
    operator: 'chief@relay.test',
    windowSeconds: 3600,
  };
  const applications = await startMailApplications(r.mail, {
    settings: mailSettings.parse({ commands }),
    domains: ['relay.test'],
    name: 'relay.test',
    stateDirectory: r.folder,
    contacts: { always: true, next: () => [] },
    now,
    log: (line) => r.log.push(line),
  });
  running.push(async () => {
    await applications.close();
    await r.close();
  });
  return r;
}
const send = (r: LocalRelay, signed: string, from = 'ops@relay.test', header = '') =>
  createTransport({ host: '127.0.0.1', port: r.port, ignoreTLS: true }).sendMail({
    envelope: { from, to: ['commands@relay.test'] },
    raw: `From: ${from}\r\nTo: commands@relay.test\r\nSubject: load\r\n${header}${signed}`,
  });
const loads = (r: LocalRelay) =>
  readdirSync(join(r.folder, 'commands', 'loads'))
    .filter((name) => name.endsWith('.load'))
    .map((name) => readFileSync(join(r.folder, 'commands', 'loads', name)));

describe.skipIf(missing !== undefined)('command loads with an S/MIME signature', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'omni-smime-test-'));
    for (const who of ['ops', 'eve'])
      openssl(
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
        ...['-keyout', file(`${who}.key`), '-out', file(`${who}.pem`), '-subj', `/CN=${who}`],
      );
    const body = content.toString('base64').replace(/(.{76})/g, '$1\r\n');
    entity = `Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="load.bin"\r\n\r\n${body}\r\n`;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are stored octet for octet and receipted, also when the signature is opaque', async () => {
    const r = await node();
    await send(r, sign('ops'));
    await r.until(() => r.mailbox('ops').length === 1);
    expect(loads(r)[0]!.equals(content)).toBe(true);
    expect(r.mailbox('ops')[0]).toContain(createHash('sha256').update(content).digest('hex'));
    const other = entity.replace('load.bin', 'second.bin');
    await send(r, sign('ops', other, '-nodetach'));
    await r.until(() => r.mailbox('ops').length === 2);
    expect(loads(r)).toHaveLength(2);
  });

  it('are refused when replayed, altered, signed by another, by nobody we know, weakly, too long ago, or sent by another', async () => {
    const r = await node();
    const good = sign('ops');
    await send(r, good);
    await r.until(() => loads(r).length === 1);
    const old = sign('ops', entity.replace('load.bin', 'old.bin'));
    const altered = good.replace(
      /(\r\n\r\n)([A-Za-z0-9+/]{76})/,
      (_, gap, line) => `${gap}${[...line].reverse().join('')}`,
    );
    expect(altered).not.toBe(good);
    const both = sign('ops', entity, '-signer', file('eve.pem'), '-inkey', file('eve.key'));
    const cases: [string, () => Promise<unknown>][] = [
      ['replayed', () => send(r, good)],
      ['wrong-signature', () => send(r, altered)],
      ['unknown-signer', () => send(r, sign('eve'))],
      ['malformed', () => send(r, both)],
      ['weak-signature', () => send(r, sign('ops', entity.replace('load.bin', 'weak.bin'), '-md', 'sha1'))],
      ['sender-not-allowed', () => send(r, sign('ops', entity.replace('load.bin', 'x.bin')), 'eve@relay.test')],
      ['malformed', () => send(r, old, 'ops@relay.test', 'Omni-Command-Run-At: 2030-01-01T00:00:00Z\r\n')],
      ['not-signed', () => send(r, entity)],
      [
        'outside-time-window',
        () => {
          shift = 7200_000;
          return send(r, old);
        },
      ],
    ];
    for (const [i, [reason, act]] of cases.entries()) {
      await act();
      await r.until(() => r.mailbox('chief').length === i + 1);
      expect(r.log.filter((line) => line.includes('command-refused')).at(-1)).toContain(`reason=${reason}`);
    }
    expect(loads(r)).toHaveLength(1);
  });

  it('are made by omni command-load, with a time to run that is signed', async () => {
    const r = await node();
    writeFileSync(file('stored.cmd'), content);
    const at = '2031-02-03T04:05:06.000Z';
    await command().parseAsync(
      [file('stored.cmd'), '--to', 'commands@relay.test', '--from', 'ops@relay.test', '--at', at].concat(
        ...[['--certificate', file('ops.pem'), '--private-key', file('ops.key'), '--smtp', `127.0.0.1:${r.port}`]],
      ),
      { from: 'user' },
    );
    await r.until(() => r.mailbox('ops').length === 1);
    expect(loads(r)[0]!.equals(content)).toBe(true);
    expect(r.mailbox('ops')[0]).toContain(`Runs:    ${at}`);
  });

  it('are read to one meaning: what a stranger adds outside the signed attributes changes nothing', async () => {
    const [ops] = readCertificates(readFileSync(file('ops.pem'), 'latin1'), 'ops.pem');
    const good = sign('ops');
    const first = await verifySmime(Buffer.from(good), [ops!]);
    // More certificates in the SignedData, no change of the signature.
    const again = await verifySmime(Buffer.from(sign('ops', entity, '-certfile', file('eve.pem'))), [ops!]);
    expect(first).toMatchObject({ ok: true });
    expect(again).toMatchObject({ ok: true });
    for (const junk of [
      '',
      'MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n',
      good.slice(0, 900),
    ])
      expect(await verifySmime(Buffer.from(junk), [ops!])).toMatchObject({ ok: false });
  });
});
