/** `omni serve smtp`: the store-and-forward mail relay on any machine. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import type { ContactPlan, Route } from '../../../apps/smtp/index.ts';
import type { WallTime } from '../../../core/index.ts';
import { watchInterfaces } from '../../../io/interface-watch.ts';
import { claimQueue, serveMailControl } from '../../../io/mail-control.ts';
import { MailRelay } from '../../../io/mail-relay.ts';
import { EXIT } from '../../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../../verb.ts';

interface Options {
  readonly listen: string[];
  readonly queue: string;
  readonly domain: string[];
  readonly mailbox: string[];
  readonly relayFor: string[];
  readonly route: string[];
  readonly name?: string;
  readonly contacts?: string;
  readonly epoch?: string;
  readonly node?: string;
  readonly maildir?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly user: string[];
  readonly size?: string;
  readonly watch: string[];
  readonly quiet?: boolean;
  readonly json?: boolean;
}

/** `--domain a --domain b` and `--domain a b` alike. */
const gather = (value: string, before: string[]): string[] => [...before, value];

export function command(): Command {
  return verb('smtp', 'Relay mail over contacts. Runs until SIGTERM or Ctrl-C; logs to stderr.', [
    'omni serve smtp --listen 127.0.0.1:2525 --queue ./queue --domain ground.example',
    'omni serve smtp --listen 0.0.0.0:25 --queue /var/spool/omni --domain ground.example \\',
    '    --relay-for 10.0.0.0/8 --route craft.example=10.1.0.2:25,peer=craft --contacts plan.ion --node ground',
    'omni serve smtp --queue ./q --domain a.example --route "*=smarthost.example:25,always,tls=required"',
    'omni serve smtp --queue ./q --domain a.example b.example --relay-for 10.0.0.0/8 --route "*="     # by MX',
  ])
    .option('--listen <address:port...>', 'where to listen; repeatable; port 0 is any', gather, [])
    .option('--queue <folder>', 'the queue; made when it is not there', './mail-queue')
    .option('--domain <name...>', 'a domain whose mail ends here; repeatable', gather, [])
    .option(
      '--mailbox <name...>',
      'a mailbox that exists in these domains; without any, all do; repeatable',
      gather,
      [],
    )
    .option('--relay-for <network...>', 'clients that may send anywhere, as 10.0.0.0/8; repeatable', gather, [])
    .option(
      '--route <domain=host:port[,…]...>',
      'next hop for a domain, .domain or *; without a host (`*=`) the domain’s mail exchangers; then peer=NAME in the plan, always, tls=never|opportunistic|required, ca=FILE, login=FILE (USER:PASSWORD in it); repeatable',
      gather,
      [],
    )
    .option('--name <name>', 'what the relay calls itself; default: the first domain')
    .option('--contacts <file>', 'contact plan (ION commands or HDTN JSON) that the routes follow, unless `always`')
    .option('--epoch <time>', 'when the plan begins, e.g. 2026-11-21T12:00:00Z; default: now')
    .option('--node <name>', 'this relay’s name in the plan')
    .option('--maildir <folder>', 'Maildirs for our domains, one a mailbox; default: `mail` in the queue’s folder')
    .option('--tls-cert <file>', 'PEM certificate chain, for STARTTLS')
    .option('--tls-key <file>', 'PEM private key')
    .option(
      '--user <name:password...>',
      'who may log in (AUTH PLAIN over TLS) and send anywhere; repeatable',
      gather,
      [],
    )
    .option(
      '--watch <interface...>',
      'try at once when it comes up, or receives a packet after a silence; repeatable',
      gather,
      [],
    )
    .option('--size <octets>', 'largest message taken')
    .option('--quiet', 'log only what goes wrong')
    .option('--json', 'print where it listens as JSON, once it does')
    .action(run);
}

async function run(options: Options): Promise<void> {
  // A relay moves octets and keeps few. Both flags work on a heap that runs already, --max-semi-space-size does not (measured with
  // npm run bench:mail: 105 MB become 80 with 10,000 messages, 107 become 92 with 1 GB in transit).
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
  if (!options.domain.some((domain) => domain !== ''))
    throw usage('--domain is missing', 'Name the domain whose mail ends here.');
  const queue = resolve(options.queue);
  const now = () => (BigInt(Date.now()) * 1_000_000n) as WallTime;
  const contacts = await contactPlan(options);
  const users = new Map(options.user.map(splitUser));
  if (users.size > 0 && options.tlsCert === undefined)
    throw usage('--user needs TLS', 'Give --tls-cert and --tls-key: passwords are only taken over TLS.');
  const log = (line: string) => {
    if (!options.quiet || /error|failed|refused|damaged/.test(line)) note(`${new Date().toISOString()} ${line}`);
  };
  const claim = await claimQueue(queue);
  const relay = await MailRelay.start({
    name: options.name ?? options.domain[0]!,
    listen: (options.listen.length > 0 ? options.listen : ['127.0.0.1:2525']).map(parseListen),
    queue,
    maildir: resolve(options.maildir ?? join(queue, 'mail')),
    policy: {
      domains: options.domain,
      relayFor: options.relayFor,
      routes: options.route.map((text) => parseRoute(text, options.contacts !== undefined)),
      ...(options.mailbox.length === 0 ? {} : { mailboxes: options.mailbox.map((m) => m.toLowerCase()) }),
    },
    contacts,
    now,
    log,
    ...(options.size === undefined ? {} : { limits: { messageOctets: wholeNumber('--size', options.size) } }),
    ...(options.tlsCert === undefined ? {} : { tls: readTls(options) }),
    ...(users.size === 0
      ? {}
      : {
          authenticate: async (user: string, password: string) => {
            const stored = users.get(user);
            const given = Buffer.from(password).toString('latin1');
            const { passwordMatches } = await import('../../../io/ftp-accounts.ts');
            return stored !== undefined && passwordMatches(given, stored);
          },
        }),
  });
  const control = await serveMailControl(queue, relay);
  const unwatch = watchInterfaces(options.watch, (name) => {
    log(`event=sign-of-life interface=${name}`);
    relay.relay.signOfLife();
  });
  const { addresses } = relay;
  if (options.json) printJson({ addresses, queue, pid: process.pid });
  for (const { address, port } of addresses) note(`omni: SMTP on ${address} port ${port}, queue in ${queue}`);
  const signal = await new Promise<string>((done) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => done(name));
  });
  note(`omni: ${signal}, ending the sessions; the queue stays`);
  unwatch();
  control.close();
  await relay.close();
  claim.release();
}

/** The plan's parsers come with the scenario's whole schema; without a plan they are not loaded. */
async function contactPlan(options: Options): Promise<ContactPlan> {
  if (options.contacts === undefined) return { always: true, next: () => [] };
  const { mailContactsFromFile } = await import('../../../io/mail-contacts.ts');
  return mailContactsFromFile(options.contacts, epoch(options.epoch), options.node);
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[3]) > 65535)
    throw usage(`--listen ${text}: not an address and a port`, 'Write 127.0.0.1:2525, [::1]:2525 or :2525.');
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port: Number(match[3]) };
}

export function parseRoute(text: string, scheduled: boolean): Route {
  const wrong = (what: string) =>
    usage(`--route ${text}: ${what}`, 'Write DOMAIN=HOST:PORT, then peer=NAME, always, tls=required or ca=FILE.');
  const equals = text.indexOf('=');
  if (equals < 1) throw wrong('there is no `=` after the domain');
  const [target = '', ...more] = text.slice(equals + 1).split(',');
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(target);
  if (match === null || Number(match[3] ?? 25) > 65_535) throw wrong(`'${target}' is not HOST:PORT`);
  let route: Route = {
    domain: text.slice(0, equals).toLowerCase(),
    // None: the domain's mail exchangers.
    host: match[1] ?? (match[2] || undefined),
    port: Number(match[3] ?? 25),
    peers: scheduled ? [] : undefined,
    tls: 'opportunistic',
  };
  for (const option of more) {
    const [key, value] = option.split('=', 2) as [string, string | undefined];
    if (key === 'always') route = { ...route, peers: undefined };
    else if (key === 'peer' && value) route = { ...route, peers: [...(route.peers ?? []), value] };
    else if (key === 'login' && value) {
      const [user, password] = splitUser(read('--route login', value).trim());
      route = { ...route, auth: { user, password } };
    } else if (key === 'ca' && value) route = { ...route, certificateAuthorities: read('--route ca', value) };
    else if (key === 'tls' && (value === 'never' || value === 'opportunistic' || value === 'required'))
      route = { ...route, tls: value };
    else throw wrong(`'${option}' is not known`);
  }
  return route;
}

function splitUser(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon < 1) throw usage('a login without a password', 'Write NAME:PASSWORD.');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function readTls(options: Options): { cert: string; key: string } {
  if (options.tlsCert === undefined || options.tlsKey === undefined)
    throw usage('TLS needs both --tls-cert and --tls-key', 'openssl req -x509 -newkey rsa:2048 -nodes makes a pair.');
  return { cert: read('--tls-cert', options.tlsCert), key: read('--tls-key', options.tlsKey) };
}

function read(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VerbError(EXIT.dataError, `${option}: reading ${file}: ${(cause as Error).message}`);
  }
}

function epoch(text: string | undefined): number {
  const at = text === undefined ? Date.now() : Date.parse(text);
  if (Number.isNaN(at)) throw usage(`--epoch ${text}: not a time`, 'Write 2026-11-21T12:00:00Z.');
  return at;
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0) throw usage(`${option} ${text}: not a whole number above zero`, '');
  return value;
}

const usage = (message: string, remedy: string): VerbError => new VerbError(EXIT.usage, message, remedy || undefined);
