// Two relays in network namespaces with a space link of short passes between them. Messages are handed to both at random times; the
// relays and the link daemon are killed (-9, by pid) at random times. A killed link daemon takes the namespaces along: `omni up`
// makes them anew, and the relays start again over their queues.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Rng } from '../../dist/core/index.js';
import { controlRequest } from '../../dist/testbed/control.js';
import { MAIN } from './memory.mjs';

const SUBMITTER = fileURLToPath(new URL('submitter.mjs', import.meta.url));
const RATE = 512_000;
const PORT = 25;
const NODES = { surrey: '10.77.0.2', spacecraft: '10.77.0.1' };
const OTHER = { surrey: 'spacecraft', spacecraft: 'surrey' };

const EVENTS = /^(\S+Z) event=(accepted|sending|delivered) id=(\S+)(.*)$/gm;
const now = () => Date.now() / 1000;
const iso = (seconds) => new Date(seconds * 1000).toISOString();
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000)));

/**
 * @param period seconds from AOS to AOS, of which `pass` are the contact.
 * @returns whether all arrived once and in contacts.
 */
export async function runPasses({ messages, passes, kills, seed, period, pass }) {
  if (process.getuid() !== 0) {
    console.log('skipped: mail over passes needs root');
    return true;
  }
  const bench = new Bench(seed, period, pass);
  try {
    return await bench.run(messages, passes, kills);
  } finally {
    bench.remove();
  }
}

class Bench {
  #folder = mkdtempSync(join(tmpdir(), 'omni-bench-passes-'));
  #name = `mb${process.pid}`;
  #rng;
  #period;
  #pass;
  #begun = now();
  #seed;
  /** Contacts that were, in Unix seconds. */
  #contacts = [];
  #plan = { epoch: '', text: '' };
  #daemon = 0;
  #relays = {};
  #submitters = {};
  #waiting = { surrey: new Map(), spacecraft: new Map() };
  #accepted = new Map();
  #sending = [];
  #delivered = new Map();
  /** By the message's id: what its relay predicted last, a second before a contact. */
  #predicted = new Map();
  #asked = new Set();
  #broken = false;
  /** Each start of a relay, and when it listened. */
  #backs = [];
  /** All that the relays logged, with OMNI_BENCH_LOG=1. */
  #lines = [];
  counts = { relay: 0, daemon: 0, repeated: 0 };

  constructor(seed, period, pass) {
    this.#period = period;
    this.#pass = pass;
    this.#seed = seed;
    this.#rng = new Rng(seed, 'bench-mail');
    chmodSync(this.#folder, 0o755);
  }

  async run(messages, passes, kills) {
    console.log(
      `mail over ${passes} passes of ${this.#pass} s every ${this.#period} s, ${messages} messages, ${kills} kills, seed ${this.#seed}`,
    );
    const begun = now();
    this.#up();
    for (const node of Object.keys(NODES)) this.#start(node);
    const span = (passes - 3) * this.#period;
    const actions = [];
    for (let i = 0; i < messages; i++) {
      const node = i % 2 === 0 ? 'surrey' : 'spacecraft';
      // Two of a hundred take a good part of a pass, the rest are mail.
      const large = i % 100 < 2 ? 200_000 + this.#rng.below(800_000) : 0;
      const octets = large || Math.round(300 * Math.exp(this.#rng.uniform() * Math.log(20_000 / 300)));
      const message = { key: `m${i}`, octets, priority: this.#rng.below(5) === 0 ? 4 : 0, node };
      actions.push({ at: this.#rng.uniform() * span, run: () => this.#submit(message) });
    }
    for (let i = 0; i < kills; i++) {
      const run = i % 5 === 4 ? () => this.#killDaemon() : () => this.#killRelay(i % 2 === 0 ? 'surrey' : 'spacecraft');
      actions.push({ at: (0.02 + 0.98 * this.#rng.uniform()) * span, run });
    }
    actions.sort((a, b) => a.at - b.at);
    const asking = setInterval(() => void this.#askForPredictions(), 100);
    for (const { at, run } of actions) {
      await pause(begun + at - now());
      await run();
    }
    const end = begun + (passes + 10) * this.#period;
    while (now() < end && this.#missing(messages) > 0) await pause(1);
    await pause(3);
    clearInterval(asking);
    return this.#judge(messages);
  }

  #omni(...words) {
    const environment = {
      OMNI_RUN_DIRECTORY: join(this.#folder, 'run'),
      OMNI_STATE_DIRECTORY: join(this.#folder, 'state'),
    };
    return spawnSync(process.execPath, [MAIN, ...words], {
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });
  }

  #up() {
    const file = join(this.#folder, 'scenario.yaml');
    const side = `{ rate: ${RATE}, delay: 10ms, ber: 1e-7 }`;
    const nodes = `nodes:\n  spacecraft: { kind: spacecraft, address: ${NODES.spacecraft} }\n  surrey: { kind: ground-station, address: ${NODES.surrey} }\n`;
    // The same passes whenever the testbed comes up; one that has begun goes on when it is up.
    const soon = now() + 2;
    const contacts = Array.from({ length: 60 }, (_, i) => this.#begun + 3 + i * this.#period)
      .filter((aos) => aos + this.#pass > soon)
      .map((aos) => `{ aos: ${iso(Math.max(aos, soon))}, los: ${iso(aos + this.#pass)} }`);
    const link = `links:\n  space: { between: [surrey, spacecraft], up: ${side}, down: ${side}, contacts: [${contacts.join(', ')}] }\n`;
    writeFileSync(file, `name: ${this.#name}\nseed: ${this.#seed}\n${nodes}${link}`);
    const up = this.#omni('up', file);
    if (up.status !== 0) throw new Error(`omni up: ${up.stderr}`);
    [{ pid: this.#daemon }] = JSON.parse(this.#omni('status', '--json').stdout);
    const { passes: coming } = JSON.parse(this.#omni('contacts', '--count', '60', '--json').stdout);
    const epoch = Date.parse(coming[0].aos) - coming[0].aosSeconds * 1000;
    for (const { aos, los } of coming)
      this.#contacts.push({ aos: Date.parse(aos) / 1000, los: Date.parse(los) / 1000 });
    const lines = coming.flatMap(({ aosSeconds, losSeconds }) =>
      [
        ['surrey', 'spacecraft'],
        ['spacecraft', 'surrey'],
      ].map(([from, to]) => `a contact +${aosSeconds} +${losSeconds} ${from} ${to} ${RATE / 8}`),
    );
    this.#plan = { epoch: new Date(epoch).toISOString(), text: `${lines.join('\n')}\n` };
    this.#broken = false;
  }

  #start(node) {
    const folder = join(this.#folder, node);
    const plan = `${folder}.ion`;
    writeFileSync(plan, this.#plan.text);
    const words = ['serve', 'smtp', '--name', `${node}.test`, '--domain', `${node}.test`, '--queue', folder];
    words.push('--listen', `0.0.0.0:${PORT}`, '--relay-for', '127.0.0.0/8', '--relay-for', '10.77.0.0/24');
    words.push('--contacts', plan, '--epoch', this.#plan.epoch, '--node', node);
    words.push('--route', `${OTHER[node]}.test=${NODES[OTHER[node]]}:${PORT},peer=${OTHER[node]},tls=never`);
    const relay = this.#within(node, MAIN, words, ['ignore', 'ignore', 'pipe']);
    const back = { node, at: Number.POSITIVE_INFINITY };
    this.#backs.push(back);
    relay.stderr.on('data', (chunk) => {
      if (String(chunk).includes('omni: SMTP on')) back.at = now();
      if (process.env.OMNI_BENCH_LOG === '1')
        for (const line of String(chunk).trim().split('\n')) this.#lines.push({ at: now(), node, line });
      for (const [, at, event, id, rest] of String(chunk).matchAll(EVENTS)) {
        const seconds = Date.parse(at) / 1000;
        if (event === 'accepted') this.#accepted.set(id, seconds);
        else if (event === 'sending') this.#sending.push({ node, at: seconds, accepted: this.#accepted.get(id) ?? 0 });
        else if (rest.includes(`hop=${OTHER[node]}.test reply=250`) && !this.#delivered.has(id))
          this.#delivered.set(id, seconds);
      }
    });
    this.#relays[node] = relay;
    const submitter = this.#within(node, SUBMITTER, [node, String(PORT)], ['pipe', 'pipe', 'ignore']);
    submitter.stdin.on('error', () => {});
    let text = '';
    submitter.stdout.on('data', (chunk) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        if (line.startsWith('repeated')) this.counts.repeated++;
        else this.#waiting[node].delete(line);
        text = text.slice(end + 1);
      }
    });
    this.#submitters[node]?.kill('SIGKILL');
    this.#submitters[node] = submitter;
    for (const message of this.#waiting[node].values()) submitter.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #within(node, program, words, stdio) {
    return spawn('ip', ['netns', 'exec', `${this.#name}-${node}`, process.execPath, program, ...words], { stdio });
  }

  #submit(message) {
    this.#waiting[message.node].set(message.key, message);
    this.#submitters[message.node].stdin.write(`${JSON.stringify(message)}\n`);
  }

  async #killRelay(node) {
    if (this.#broken) return;
    this.counts.relay++;
    const relay = this.#relays[node];
    const gone = new Promise((resolve) => relay.once('exit', resolve));
    relay.kill('SIGKILL');
    await gone;
    await pause(0.2 + this.#rng.uniform());
    this.#start(node);
  }

  async #killDaemon() {
    this.counts.daemon++;
    process.kill(this.#daemon, 'SIGKILL');
    const at = now();
    for (const contact of this.#contacts) contact.los = Math.min(contact.los, at);
    this.#contacts = this.#contacts.filter(({ aos, los }) => los > aos);
    // For a while the relays live on without a link.
    await pause(this.#rng.uniform() * 2);
    for (const node of Object.keys(NODES)) {
      this.#relays[node].kill('SIGKILL');
      this.#submitters[node].kill('SIGKILL');
    }
    this.#omni('down', '--all');
    this.#up();
    for (const node of Object.keys(NODES)) this.#start(node);
  }

  #mailbox(node) {
    const box = join(this.#folder, node, 'mail', 'box', 'new');
    try {
      return readdirSync(box).map((file) => readFileSync(join(box, file), 'latin1'));
    } catch {
      return [];
    }
  }
  #missing(messages) {
    return (
      messages -
      Object.keys(NODES).reduce((sum, node) => sum + count(join(this.#folder, node, 'mail', 'box', 'new')), 0)
    );
  }

  #judge(messages) {
    const copies = new Map();
    let damaged = 0;
    for (const node of Object.keys(NODES))
      for (const text of this.#mailbox(node)) {
        const [, key, octets] = /^X-Key: (\S+) (\d+)\r?$/m.exec(text) ?? [undefined, 'strange', '0'];
        copies.set(key, (copies.get(key) ?? 0) + 1);
        const at = text.indexOf('X-Key: ');
        // Everything from the first field of the original on, CRLF or the Maildir's LF.
        if (text.slice(at).replaceAll('\r\n', '\n') !== compose(key, Number(octets)).replaceAll('\r\n', '\n'))
          damaged++;
      }
    const lost = Array.from({ length: messages }, (_, i) => `m${i}`).filter((key) => !copies.has(key));
    const twice = [...copies].filter(([, n]) => n > 1);
    let outside = 0;
    let taken = 0;
    for (const node of Object.keys(NODES)) {
      const finished = join(this.#folder, node, 'finished');
      for (const file of readdirSync(finished)) {
        const { reversePath, arrived } = JSON.parse(readFileSync(join(finished, file), 'utf8'));
        if (reversePath !== `sender@${OTHER[node]}.test`) continue;
        taken++;
        const at = Date.parse(arrived) / 1000;
        if (!this.#contacts.some(({ aos, los }) => aos <= at && at <= los + 0.1)) outside++;
      }
    }
    const { undisturbed, disturbed } = this.#starts();
    const errors = this.#errors();
    const right = errors.filter((error) => error <= 0.05).length;
    const { relay, daemon, repeated } = this.counts;
    console.log(
      [
        `${messages} messages: ${lost.length} lost, ${twice.length} duplicated, ${damaged} damaged; kills: ${relay} of relays, ${daemon} of the link daemon`,
        `${taken} taken over the link, ${outside} outside contacts; ${repeated} submissions repeated because the reply was lost`,
        `first message after AOS, both relays running: ${spread(undisturbed)}`,
        `predicted a second before the contact, for ${errors.length} that waited for it: ${((100 * right) / errors.length).toFixed(1)} % within 5 % of the wait, median error ${(100 * errors[errors.length >> 1]).toFixed(1)} %`,
        `first message after the last of both was back, when that was in the contact: ${spread(disturbed)}`,
      ].join('\n  '),
    );
    return lost.length + twice.length + damaged + outside === 0;
  }

  /** As `omni mailq` would show it a second before each contact. */
  async #askForPredictions() {
    const contact = this.#contacts.find(({ aos }) => aos - now() > 0 && aos - now() <= 1);
    if (contact === undefined || this.#asked.has(contact.aos)) return;
    this.#asked.add(contact.aos);
    for (const node of Object.keys(NODES)) {
      // A relay that was just killed says nothing.
      const answer = await controlRequest(join(this.#folder, node, 'control.sock'), 'list', {}).catch(() => ({
        queue: [],
      }));
      for (const { id, predicted } of answer.queue)
        if (predicted !== undefined) this.#predicted.set(id, Date.parse(predicted.expected) / 1000);
    }
  }

  /** Errors of the predictions, in parts of the whole wait. */
  #errors() {
    const errors = [];
    for (const [id, at] of this.#predicted) {
      const delivered = this.#delivered.get(id);
      const accepted = this.#accepted.get(id);
      if (delivered !== undefined && accepted !== undefined)
        errors.push(Math.abs(at - delivered) / (delivered - accepted));
    }
    return errors.sort((a, b) => a - b);
  }

  /**
   * Seconds to the first message of each direction, in contacts at whose beginning one waited: from AOS when both relays listened then and
   * went on, else from when the later of them listened again. A relay listens last of all in its start: its queue is read by then.
   */
  #starts() {
    const undisturbed = [];
    const disturbed = [];
    for (const { aos, los } of this.#contacts)
      for (const node of Object.keys(NODES)) {
        const first = Math.min(
          ...this.#sending
            .filter((m) => m.node === node && m.at >= aos && m.at <= los && m.accepted < aos)
            .map(({ at }) => at),
        );
        if (!Number.isFinite(first)) continue;
        const backs = this.#backs.filter(({ at }) => at > aos && at <= first).map(({ at }) => at);
        const took = first - Math.max(aos, ...backs);
        (backs.length === 0 ? undisturbed : disturbed).push(took);
        if (took > 1 && this.#lines.length > 0) {
          console.log(
            `${node}: ${took.toFixed(2)} s after ${backs.length === 0 ? 'AOS' : 'its start'}; contact of ${(los - aos).toFixed(1)} s`,
          );
          for (const { at, node: of, line } of this.#lines)
            if (at > aos - 3 && at < first + 0.5) console.log(`   ${(at - aos).toFixed(3)} ${of} ${line}`);
        }
      }
    return { undisturbed, disturbed };
  }

  remove() {
    for (const child of [...Object.values(this.#relays), ...Object.values(this.#submitters)]) child.kill('SIGKILL');
    this.#omni('down', '--all');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return 'never';
  return `median ${sorted[sorted.length >> 1].toFixed(3)} s, worst ${sorted.at(-1).toFixed(3)} s, ${sorted.length} times`;
}

function count(folder) {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}

/** The same text for one key and size wherever it is made; some lines begin with a dot. */
export function compose(key, octets) {
  const rng = new Rng(`${key} ${octets}`, 'mail');
  const lines = [`X-Key: ${key} ${octets}`, 'From: sender@x.test', 'To: box@y.test', `Subject: ${key}`, ''];
  for (let length = lines.join('\r\n').length; length < octets; length += lines.at(-1).length + 2) {
    const text = Array.from({ length: 1 + rng.below(10) }, () => rng.uint32().toString(36)).join('');
    lines.push(rng.below(8) === 0 ? `.${text}` : text);
  }
  return `${lines.join('\r\n')}\r\n`;
}
