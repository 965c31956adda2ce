/**
 * Our FTP server beside vsftpd and proftpd on loopback, turn by turn in one run: a large file plain and under TLS, both ways, 100
 * clients at once, a directory of 10,000 files, and a small file on a session that is there already. Clients are curl and a bare
 * socket. `node scripts/setup.mjs --for=bench` unpacks vsftpd and proftpd into build/stock.
 *
 * The folder lies in memory (/dev/shm): on a disk our uploads would measure the disk, because 226 waits for fsync, and theirs not.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Row {
  readonly name: string;
  /** Median seconds by server; undefined where it failed or is absent. */
  readonly seconds: Record<string, number | undefined>;
}

interface RunningServer {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
  readonly tls: boolean;
}

const LARGE_OCTETS = 500_000_000;
/** scripts/interop/ftp-servers.mjs, shared with the interoperability table. */
type StartStock = (options: {
  root: string;
  folder: string;
  served: string;
  freePort: () => Promise<number>;
  answers: (port: number) => Promise<void>;
}) => Promise<{ name: string; port: number; child: ChildProcess }>;

/** Called by scripts/bench.mjs; gives the table as text, and the numbers. */
export async function compare(options: { rounds: number; root: string }): Promise<{ text: string; rows: Row[] }> {
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = mkdtempSync(join(memory, `omni-bench-ftp-${process.pid}-`));
  const servers: RunningServer[] = [];
  try {
    const served = join(folder, 'served');
    prepare(folder, served);
    const stock = pathToFileURL(join(options.root, 'scripts/interop/ftp-servers.mjs')).href;
    const { startVsftpd, startProftpd } = (await import(stock)) as {
      startVsftpd: StartStock;
      startProftpd: StartStock;
    };
    servers.push(await startOmni(options.root, folder, served));
    for (const start of [startVsftpd, startProftpd]) {
      try {
        const { name, port, child } = await start({ root: options.root, folder, served, freePort, answers });
        servers.push({ name, port, child, tls: true });
      } catch (error) {
        process.stderr.write(`bench: not compared: ${(error as Error).message}\n`);
      }
    }
    const rows = await measureAll(servers, Math.min(options.rounds, 7), folder);
    return { text: table(rows, servers), rows };
  } finally {
    await Promise.all(servers.map(({ child }) => stop(child)));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureAll(servers: readonly RunningServer[], rounds: number, folder: string): Promise<Row[]> {
  const up = join(folder, 'up');
  writeFileSync(up, '');
  truncateSync(up, LARGE_OCTETS);
  const url = (server: RunningServer, path: string) => `ftp://127.0.0.1:${server.port}/${path}`;
  const tls = ['-k', '--ssl-reqd'];
  const measures: [string, (server: RunningServer) => Promise<number | undefined>, number?][] = [
    ['500 MB down, plain', (s) => curl('-o', '/dev/null', url(s, 'large'))],
    ['500 MB down, TLS', async (s) => (s.tls ? curl(...tls, '-o', '/dev/null', url(s, 'large')) : undefined)],
    ['500 MB up, plain', (s) => curl('-T', up, url(s, `in/${s.name}`))],
    ['500 MB up, TLS', async (s) => (s.tls ? curl(...tls, '-T', up, url(s, `in/${s.name}`)) : undefined)],
    ['10,000 files listed', (s) => curl('-o', '/dev/null', url(s, 'many/'))],
    ['100 clients at once, 1 MB each', (s) => crowd(url(s, 'million'))],
    ['1 kB file on an open session', smallFile],
  ];
  const rows: Row[] = [];
  for (const [name, measure] of measures) {
    const times = new Map<string, (number | undefined)[]>(servers.map((server) => [server.name, []]));
    for (const server of servers) await measure(server);
    // One after the other in each round, so that a disturbance hits them alike.
    for (let round = 0; round < rounds; round++)
      for (const server of servers) times.get(server.name)!.push(await measure(server));
    rows.push({ name, seconds: Object.fromEntries([...times].map(([server, values]) => [server, median(values)])) });
  }
  return rows;
}

function table(rows: readonly Row[], servers: readonly RunningServer[]): string {
  const others = servers.slice(1);
  const head = ['ftp', ...servers.map(({ name }) => `${name} ms`), ...others.map(({ name }) => `speed to ${name}`)];
  const body = rows.map((row) => [
    row.name,
    ...servers.map(({ name }) => ((row.seconds[name] ?? Number.NaN) * 1000).toFixed(2)),
    ...others.map(({ name }) => ((row.seconds[name] ?? Number.NaN) / (row.seconds.omni ?? Number.NaN)).toFixed(2)),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((line) => line[i]!.length)));
  const lines = [head, ...body].map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  return `\n${lines.join('\n')}\n`;
}

function prepare(folder: string, served: string): void {
  for (const directory of [served, join(served, 'many'), join(served, 'in')]) mkdirSync(directory);
  writeFileSync(join(served, 'large'), '');
  truncateSync(join(served, 'large'), LARGE_OCTETS);
  // Read once, so that no server pays for the first reading.
  spawnSync('cat', [join(served, 'large')], { stdio: ['ignore', 'ignore', 'ignore'] });
  writeFileSync(join(served, 'million'), Buffer.alloc(1_000_000, 'x'));
  writeFileSync(join(served, 'small'), Buffer.alloc(1000, 'x'));
  for (let i = 0; i < 10_000; i++) writeFileSync(join(served, 'many', `image-${String(i).padStart(5, '0')}.png`), '');
  spawnSync('chmod', ['-R', 'a+rX,u+w', folder]);
  spawnSync('chmod', ['a+rwx', join(served, 'in')]);
  const subject = [
    '-subj',
    '/CN=localhost',
    '-days',
    '2',
    '-nodes',
    '-keyout',
    join(folder, 'key.pem'),
    '-out',
    join(folder, 'cert.pem'),
  ];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', ...subject], { stdio: 'ignore' });
}

async function startOmni(root: string, folder: string, served: string): Promise<RunningServer> {
  const port = await freePort();
  const tls = ['--tls-cert', join(folder, 'cert.pem'), '--tls-key', join(folder, 'key.pem')];
  const options = [
    'serve',
    'ftp',
    '--root',
    served,
    '--listen',
    `127.0.0.1:${port}`,
    '--anonymous',
    'read-write',
    '--quiet',
  ];
  const child = spawn(join(root, 'bin/omni'), [...options, ...tls], { stdio: 'ignore' });
  await answers(port);
  return { name: 'omni', port, child, tls: true };
}

/** Resolves when the server greets. */
async function answers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('data', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (greeted) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing answers on port ${port}`);
}

/** Seconds of one curl; undefined when it failed. */
function curl(...options: string[]): Promise<number | undefined> {
  const begin = performance.now();
  return new Promise((resolve) => {
    const child = spawn('curl', ['-sS', '--fail', ...options], { stdio: 'ignore' });
    child.once('close', (code) => resolve(code === 0 ? (performance.now() - begin) / 1000 : undefined));
  });
}

async function crowd(url: string): Promise<number | undefined> {
  const begin = performance.now();
  const all = await Promise.all(Array.from({ length: 100 }, () => curl('-o', '/dev/null', url)));
  return all.every((one) => one !== undefined) ? (performance.now() - begin) / 1000 : undefined;
}

/** EPSV, RETR and the file, on a session that has logged in: the median of 50. */
function smallFile(server: RunningServer): Promise<number | undefined> {
  return new Promise((resolve) => {
    const control = connect(server.port, '127.0.0.1');
    control.setNoDelay(true);
    control.setTimeout(10_000, () => {
      control.destroy();
      resolve(undefined);
    });
    const times: number[] = [];
    let begin = 0;
    let seen = '';
    control.on('error', () => resolve(undefined));
    control.on('data', (chunk) => {
      seen += chunk.toString();
      for (let end = seen.indexOf('\r\n'); end >= 0; end = seen.indexOf('\r\n')) {
        const line = seen.slice(0, end);
        seen = seen.slice(end + 2);
        answer(line);
      }
    });
    const next = () => {
      begin = performance.now();
      control.write('EPSV\r\n');
    };
    function answer(line: string): void {
      const code = line.slice(0, 4);
      if (code === '220 ') control.write('USER anonymous\r\n');
      else if (code === '331 ') control.write('PASS bench@example.com\r\n');
      else if (code === '230 ') control.write('TYPE I\r\n');
      else if (code === '200 ') next();
      else if (code === '229 ') {
        const data = connect(Number(/\|(\d+)\|\)/.exec(line)![1]), '127.0.0.1', () => control.write('RETR small\r\n'));
        data.resume();
      } else if (/^[45]\d\d /.test(code)) {
        control.destroy();
        resolve(undefined);
      } else if (code === '226 ') {
        times.push((performance.now() - begin) / 1000);
        if (times.length < 50) next();
        else {
          control.destroy();
          resolve(median(times));
        }
      }
    }
  });
}

function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  return sorted.length === values.length ? sorted[sorted.length >> 1] : undefined;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await ended;
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
