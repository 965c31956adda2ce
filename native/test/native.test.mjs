// Root: makes two network namespaces named after this process and removes them, whatever happens. No packet leaves them.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import * as native from '../index.js';

const { closeFd, createReactor, monotonicNanoseconds, openTun } = native;
const names = ['a', 'b'].map((side) => `omni-native-${process.pid}-${side}`);
const paths = names.map((name) => `/run/netns/${name}`);
const run = (...words) =>
  execFileSync(words[0], words.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const openDescriptors = () => readdirSync('/proc/self/fd').length;
const here = () => readlinkSync('/proc/thread-self/ns/net');
const code = (expected) => (error) => {
  assert.equal(error.code, expected, error.message);
  return true;
};

/** The arrays that a relay needs. */
function buffers(slots, slotOctets) {
  return {
    slots,
    slotOctets,
    arena: new Uint8Array(slots * slotOctets),
    offsets: Int32Array.from({ length: slots }, (_, i) => i * slotOctets),
    out: new Int32Array(2 * slots),
    descriptors: new Int32Array(3 * slots),
    results: new Int32Array(slots),
  };
}
const readInto = (reactor, b, slots = b.slots) => reactor.readBatch(b.arena, b.offsets, slots, b.slotOctets, b.out);

function removeNamespaces() {
  for (const name of names)
    try {
      run('ip', 'netns', 'del', name);
    } catch {}
}

before(() => {
  process.on('exit', removeNamespaces);
  for (const name of names) run('ip', 'netns', 'add', name);
});
after(removeNamespaces);

const address = (side) => `10.99.0.${side + 1}`;
const exec = (side, ...words) => run('ip', 'netns', 'exec', names[side], ...words);
function configure(side, device = 'tun0', mtu = 1500) {
  run('ip', '-n', names[side], 'addr', 'add', address(side), 'peer', address(1 - side), 'dev', device);
  run('ip', '-n', names[side], 'link', 'set', device, 'mtu', `${mtu}`, 'up');
}
/** So that nothing but our own packets is read: the kernel's IPv6 speaks as soon as a device is up. */
const silence = (side) =>
  exec(side, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');

async function relaying(tuns, b, work) {
  const reactor = createReactor(() => {
    const count = readInto(reactor, b);
    let used = 0;
    for (let i = 0; i < count; i++) {
      if (b.out[2 * i + 1] < 0) continue;
      b.descriptors[used++] = 1 - b.out[2 * i];
      b.descriptors[used++] = b.offsets[i];
      b.descriptors[used++] = b.out[2 * i + 1];
    }
    reactor.writeBatch(b.arena, b.descriptors, used / 3, b.results);
  });
  tuns.forEach((tun, index) => reactor.addTun(tun.fd, index));
  try {
    await work(reactor);
  } finally {
    reactor.close();
  }
}

async function output(...words) {
  const child = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data) => (text += data));
  const [status] = await once(child, 'close');
  return { status, text };
}

describe('clocks', () => {
  test('monotonic and realtime agree with Node', () => {
    const low = process.hrtime.bigint();
    const ours = monotonicNanoseconds();
    assert.ok(ours >= Number(low) && ours <= Number(process.hrtime.bigint()));
    assert.ok(Math.abs(Number(native.realtimeNanoseconds() / 1000000n) - Date.now()) < 50);
  });
});

describe('TUN devices', () => {
  test('a device is made in another namespace and this thread stays at home', () => {
    const home = here();
    const tun = openTun({ name: 'omni%d', netns: paths[0] });
    assert.equal(tun.name, 'omni0');
    assert.equal(here(), home);
    assert.match(run('ip', '-n', names[0], 'link', 'show', 'omni0'), /POINTOPOINT/);
    assert.throws(() => run('ip', 'link', 'show', 'omni0'));
    assert.match(readFileSync(`/proc/self/fdinfo/${tun.fd}`, 'utf8'), /flags:\s+02[01]04002/); // CLOEXEC, NONBLOCK, RDWR
    closeFd(tun.fd);
    assert.throws(() => run('ip', '-n', names[0], 'link', 'show', 'omni0'));
  });

  test('errors carry code, errno, syscall and the attempt', () => {
    const tun = openTun({ name: 'busy', netns: paths[0] });
    const descriptors = openDescriptors();
    const home = here();
    assert.throws(
      () => openTun({ name: 'busy', netns: paths[0] }),
      (error) => {
        assert.ok(error instanceof Error);
        assert.equal(error.code, 'EBUSY');
        assert.equal(error.errno, -16);
        assert.equal(error.syscall, 'ioctl(TUNSETIFF)');
        assert.match(error.message, /^opening TUN busy in \/run\/netns\/.*-a: ioctl\(TUNSETIFF\): EBUSY, /);
        return true;
      },
    );
    assert.throws(() => openTun({ name: 'x', netns: '/run/netns/no-such' }), code('ENOENT'));
    assert.throws(() => openTun({ name: 'x', netns: '/etc/passwd' }), code('EINVAL'));
    assert.throws(() => openTun({ name: 'a/b', netns: paths[0] }), code('EINVAL'));
    assert.throws(() => openTun({ name: 'lo', netns: paths[0] }), code('EINVAL'));
    assert.equal(here(), home);
    assert.equal(openDescriptors(), descriptors);
    closeFd(tun.fd);
    assert.throws(() => closeFd(tun.fd), code('EBADF'));
    assert.throws(() => closeFd(0), code('EBADF'));
  });

  test('EPERM without the right', () => {
    const script = `process.setgid(65534); process.setuid(65534);
      import(${JSON.stringify(new URL('../index.js', import.meta.url).href)}).then((n) => {
        const codes = [() => n.openTun({ name: 'x' }), () => n.enterNetworkNamespace('/proc/self/ns/net')].map((f) => {
          try { f(); return 'none'; } catch (error) { return error.code; } });
        console.log(JSON.stringify([...codes, n.setRealtimePriority(5)])); });`;
    const [tun, netns, priority] = JSON.parse(run(process.execPath, '-e', script));
    assert.match(tun, /EPERM|EACCES/); // EACCES where /dev/net/tun is root's alone
    assert.deepEqual([netns, priority], ['EPERM', false]);
  });

  test('a packet socket sends frames on its interface; a socket can be tied to one', () => {
    exec(0, 'ip', 'link', 'add', 'pk0', 'type', 'veth', 'peer', 'name', 'pk1');
    for (const device of ['pk0', 'pk1']) exec(0, 'ip', 'link', 'set', device, 'up');
    const index = (device) => Number(JSON.parse(exec(0, 'ip', '-j', 'link', 'show', device))[0].ifindex);
    const [from, to] = ['pk0', 'pk1'].map((device, i) => {
      const fd = native.openSocketInNamespace({ netns: paths[0], domain: 17, type: 3 });
      native.bindPacketSocket(fd, index(device), i === 0 ? 0 : 0x88b5);
      return fd;
    });
    const frame = Buffer.from(`ffffffffffff020000000005${'88b5'}${'61'.repeat(50)}`, 'hex');
    writeSync(from, frame);
    const heard = Buffer.alloc(200);
    assert.equal(readSync(to, heard), frame.length);
    assert.deepEqual(heard.subarray(0, frame.length), frame);
    assert.throws(() => native.bindPacketSocket(from, 2 ** 31 - 1, 0), code('ENODEV'));
    const raw = { netns: paths[0], domain: 2, type: 3, protocol: 17 };
    closeFd(native.openSocketInNamespace({ ...raw, interface: 'pk0' }));
    assert.throws(() => native.openSocketInNamespace({ ...raw, interface: 'nosuch0' }), code('ENODEV'));
    closeFd(from);
    closeFd(to);
    exec(0, 'ip', 'link', 'del', 'pk0');
  });

  test('a socket opened in a namespace belongs to it', () => {
    const tun = openTun({ name: 'sock0', netns: paths[1] });
    const fd = native.openSocketInNamespace({ netns: paths[1], domain: 2, type: 3, protocol: 1 });
    assert.match(readlinkSync(`/proc/self/fd/${fd}`), /^socket:/);
    assert.match(exec(1, 'cat', '/proc/net/raw'), /:0001 /);
    assert.throws(() => native.openSocketInNamespace({ domain: 250, type: 3 }), code('EAFNOSUPPORT'));
    closeFd(fd);
    closeFd(tun.fd);
  });
});

describe('relay', () => {
  test('pings cross, of every size that fits the MTU', async () => {
    const tuns = paths.map((netns) => openTun({ name: 'tun0', netns }));
    [0, 1].forEach((side) => configure(side));
    await relaying(tuns, buffers(64, 1500), async () => {
      for (const size of [0, 56, 1472]) {
        const { status, text } = await output(
          'ip',
          'netns',
          'exec',
          names[0],
          'ping',
          '-M',
          'do',
          '-s',
          `${size}`,
          '-c',
          '20',
          '-i',
          '0.002',
          '-q',
          address(1),
        );
        assert.equal(status, 0, text);
        assert.match(text, / 0% packet loss/);
      }
    });
    tuns.forEach((tun) => closeFd(tun.fd));
  });

  test('whole TCP super-packets cross with the header unchanged', async () => {
    const tuns = paths.map((netns) => openTun({ name: 'tun0', netns, vnetHeader: true, udpSegmentation: true }));
    [0, 1].forEach((side) => configure(side));
    let longest = 0;
    const b = buffers(16, 65536 + 16);
    await relaying(tuns, b, async (reactor) => {
      const readBatch = reactor.readBatch;
      reactor.readBatch = (...words) => {
        const count = readBatch.apply(reactor, words);
        for (let i = 0; i < count; i++) longest = Math.max(longest, b.out[2 * i + 1]);
        return count;
      };
      const receive = `require('net').createServer((s) => { let n = 0; s.on('data', (d) => (n += d.length)); s.on('end', () => { console.log(n); process.exit(); }); }).listen(7000, '${address(1)}', () => console.log('listening'))`;
      const receiver = spawn('ip', ['netns', 'exec', names[1], process.execPath, '-e', receive], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let text = '';
      receiver.stdout.on('data', (data) => (text += data));
      const ended = once(receiver, 'close');
      await once(receiver.stdout, 'data');
      const send = `require('net').connect(7000, '${address(1)}').end(Buffer.alloc(20e6, 7))`;
      assert.equal((await output('ip', 'netns', 'exec', names[0], process.execPath, '-e', send)).status, 0);
      await ended;
      assert.equal(text.trim().split('\n').at(-1), '20000000');
    });
    assert.ok(longest > 20000, `longest packet ${longest}`);
    tuns.forEach((tun) => closeFd(tun.fd));
  });
});

/** An IPv4 UDP packet to the far end of the point-to-point device, with room for `octets` in all. */
function sendDatagrams(side, count, payload) {
  const script = `const s = require('dgram').createSocket('udp4'); let left = ${count};
    s.bind(0, () => { for (let i = 0; i < ${count}; i++) s.send(Buffer.alloc(${payload}, i), 9, '${address(1 - side)}', () => { if (--left === 0) s.close(); }); });`;
  exec(side, process.execPath, '-e', script);
}

describe('reading', () => {
  const setup = () => {
    [0, 1].forEach(silence);
    const tuns = paths.map((netns) => openTun({ name: 'tun0', netns }));
    [0, 1].forEach((side) => configure(side));
    let wakes = 0;
    let woken = () => {};
    const reactor = createReactor(() => {
      wakes++;
      woken();
    });
    tuns.forEach((tun, index) => reactor.addTun(tun.fd, index * 1000));
    return {
      tuns,
      reactor,
      wakes: () => wakes,
      wake: () => new Promise((resolve) => (woken = resolve)),
      done: () => {
        reactor.close();
        tuns.forEach((tun) => closeFd(tun.fd));
      },
    };
  };

  test('order is kept, TUNs take turns, what is left comes next time', async () => {
    const { reactor, wake, done } = setup();
    sendDatagrams(0, 40, 100);
    sendDatagrams(1, 3, 100);
    const b = buffers(20, 1500);
    await wake();
    assert.equal(readInto(reactor, b), 20);
    const from = Array.from({ length: 20 }, (_, i) => b.out[2 * i]);
    assert.deepEqual([from.filter((x) => x === 0).length, from.filter((x) => x === 1000).length], [17, 3]);
    await wake();
    const first = Array.from({ length: 17 }, (_, i) => i);
    const payloads = (count) =>
      Array.from({ length: count }, (_, i) => i)
        .filter((i) => b.out[2 * i] === 0)
        .map((i) => b.arena[b.offsets[i] + 28]);
    assert.deepEqual(payloads(20), first);
    assert.equal(readInto(reactor, b), 20);
    assert.deepEqual(payloads(20), first.map((i) => i + 17).concat([34, 35, 36]));
    assert.equal(readInto(reactor, b), 3);
    assert.equal(readInto(reactor, b), 0);
    assert.equal(b.out[1], 128);
    done();
  });

  test('a packet longer than its slot is told from one that just fits', async () => {
    const { reactor, wake, done } = setup();
    sendDatagrams(0, 1, 72); // 100 octets with its headers
    sendDatagrams(0, 1, 73);
    const b = buffers(4, 100);
    b.arena.fill(0xee);
    await wake();
    assert.equal(readInto(reactor, b), 2);
    assert.deepEqual([...b.out.subarray(0, 4)], [0, 100, 0, native.TRUNCATED]);
    assert.equal(b.arena[200], 0xee);
    done();
  });

  test('a paused TUN neither wakes nor is read; an idle one costs no wake-up', async () => {
    const { reactor, wakes, wake, done } = setup();
    reactor.pauseRead(0, true);
    sendDatagrams(0, 2, 10);
    const b = buffers(4, 1500);
    await sleep(30);
    assert.equal(wakes(), 0);
    assert.equal(readInto(reactor, b), 0);
    const woken = wake();
    reactor.pauseRead(0, false);
    await woken;
    reactor.pauseRead(0, true);
    assert.equal(readInto(reactor, b), 0);
    reactor.pauseRead(0, false);
    await wake();
    assert.equal(readInto(reactor, b), 2);
    const before = wakes();
    await sleep(50);
    assert.equal(wakes(), before);
    done();
  });

  test('a deleted device is reported once and then left alone', async () => {
    const { reactor, wakes, wake, done } = setup();
    const woken = wake();
    run('ip', '-n', names[0], 'link', 'del', 'tun0');
    await woken;
    const b = buffers(4, 1500);
    assert.equal(readInto(reactor, b), 1);
    assert.deepEqual([...b.out.subarray(0, 2)], [0, -77]);
    const before = wakes();
    await sleep(30);
    assert.equal(wakes(), before);
    b.descriptors.set([0, 0, 20]);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 1, b.results), 0);
    assert.equal(b.results[0], 77);
    reactor.removeTun(0);
    done();
  });

  test('a device deleted while paused does not spin, and is reported on resuming', async () => {
    const { reactor, wakes, wake, done } = setup();
    reactor.pauseRead(0, true);
    run('ip', '-n', names[0], 'link', 'del', 'tun0');
    await sleep(30);
    assert.equal(wakes(), 0);
    const woken = wake();
    reactor.pauseRead(0, false);
    await woken;
    const b = buffers(4, 1500);
    assert.equal(readInto(reactor, b), 1);
    assert.equal(b.out[1], -77);
    done();
  });
});

describe('writing', () => {
  test('each packet has its own result', () => {
    silence(0);
    const tun = openTun({ name: 'tun0', netns: paths[0] });
    const reactor = createReactor(() => {});
    reactor.addTun(tun.fd, 65535);
    const b = buffers(4, 100);
    b.arena[0] = 0x45;
    b.descriptors.set([65535, 0, 20]);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 1, b.results), 0);
    assert.equal(b.results[0], 5); // EIO: down
    configure(0);
    b.descriptors.set([65535, 0, 20, 65535, 20, 20, 7, 0, 20, 65535, 0, 20]);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 4, b.results), 2);
    assert.deepEqual([...b.results], [0, 22, 19, 0]);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 0, b.results), 0);
    reactor.close();
    closeFd(tun.fd);
  });

  test('after EAGAIN the rest waits in order, and a wake-up says when', async () => {
    // A TUN hardly ever refuses; a FIFO open at both ends does when it is full.
    const fifo = `${tmpdir()}/omni-native-${process.pid}`;
    run('mkfifo', fifo);
    const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    rmSync(fifo);
    let wakes = 0;
    let woken;
    const wake = new Promise((resolve) => (woken = resolve));
    const reactor = createReactor(() => {
      wakes++;
      woken();
    });
    reactor.addTun(fd, 0);
    reactor.pauseRead(0, true);
    const b = buffers(20, 4096);
    for (let i = 0; i < 20; i++) b.descriptors.set([0, i * 4096, i === 19 ? 1 : 4096], 3 * i);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 20, b.results), 16);
    assert.deepEqual([...b.results], [...Array(16).fill(0), ...Array(4).fill(11)]);
    await sleep(20);
    assert.equal(wakes, 0);
    readSync(fd, b.arena, 0, 8192);
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 1, b.results), 0); // not before the wake-up
    await wake;
    assert.equal(reactor.writeBatch(b.arena, b.descriptors, 1, b.results), 1);
    await sleep(10);
    assert.equal(wakes, 1);
    reactor.close();
    closeSync(fd);
  });
});

describe('timer', () => {
  const timed = async (set) => {
    let reactor;
    const lateness = await new Promise((resolve) => {
      let deadline;
      reactor = createReactor(() => {
        if (reactor.timerExpired()) resolve(monotonicNanoseconds() - deadline);
      });
      deadline = set(reactor);
    });
    assert.equal(reactor.timerExpired(), false);
    reactor.close();
    return lateness;
  };

  test('never early, and in the past at once', async () => {
    for (let i = 0; i < 50; i++) {
      const late = await timed((reactor) => {
        const deadline = monotonicNanoseconds() + 1e6 * Math.random();
        reactor.setTimer(deadline);
        return deadline;
      });
      assert.ok(late >= 0, `${late}`);
    }
    for (const past of [1, -5, 0.25, 'now'])
      await timed((reactor) => {
        const now = monotonicNanoseconds();
        reactor.setTimer(past === 'now' ? now : past);
        return now;
      });
  });

  test('replaced, disarmed, repeated', async () => {
    let expired = 0;
    const reactor = createReactor(() => (expired += reactor.timerExpired()));
    const now = monotonicNanoseconds();
    reactor.setTimer(now + 1e6);
    reactor.setTimer(now + 10e6);
    reactor.setTimer(now + 10e6);
    await sleep(5);
    assert.equal(expired, 0);
    await sleep(15);
    assert.equal(expired, 1);
    reactor.setTimer(now + 10e6); // the same instant again, after it expired
    await sleep(5);
    assert.equal(expired, 2);
    for (const never of [0, Infinity]) {
      reactor.setTimer(monotonicNanoseconds() + 1e6);
      reactor.setTimer(never);
    }
    reactor.setTimer(1e300);
    await sleep(10);
    assert.equal(expired, 2);
    reactor.close();
  });
});

describe('wrong arguments throw and change nothing', () => {
  const range = { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' };
  const type = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' };
  let reactor;
  before(() => (reactor = createReactor(() => {})));
  after(() => reactor.close());

  test('functions', () => {
    for (const [expected, act] of [
      [type, () => openTun()],
      [type, () => openTun('x')],
      [type, () => openTun({})],
      [type, () => openTun({ name: '' })],
      [type, () => openTun({ name: 5 })],
      [range, () => openTun({ name: 'sixteen-octets-x' })],
      [range, () => openTun({ name: 'a\0b' })],
      [type, () => openTun({ name: 'x', netns: 1 })],
      [range, () => openTun({ name: 'x', netns: 'n'.repeat(5000) })],
      [type, () => openTun({ name: 'x', vnetHeader: 1 })],
      [range, () => openTun({ name: 'x', udpSegmentation: true })],
      [type, () => closeFd('0')],
      [range, () => closeFd(-1)],
      [range, () => closeFd(2 ** 40)],
      [range, () => closeFd(NaN)],
      [type, () => native.openSocketInNamespace({ domain: 2 })],
      [range, () => native.openSocketInNamespace({ domain: 2, type: 2048 + 3 })],
      [type, () => native.enterNetworkNamespace(undefined)],
      [range, () => native.enterNetworkNamespace('')],
      [type, () => createReactor()],
      [type, () => createReactor({})],
      [type, () => reactor.constructor(() => {})],
      [range, () => native.setRealtimePriority(100)],
      [range, () => native.setRealtimePriority(1.5)],
      [type, () => native.setCpuAffinity(0)],
      [range, () => native.setCpuAffinity([])],
      [range, () => native.setCpuAffinity([1024])],
      [type, () => native.setCpuAffinity(['0'])],
      [range, () => native.setTimerSlack(-1)],
      [range, () => native.parentDeathSignal(65)],
    ])
      assert.throws(act, expected, String(act));
    const thrown = new Error('from a getter');
    assert.throws(
      () =>
        openTun({
          get name() {
            throw thrown;
          },
        }),
      thrown,
    );
  });

  test('the reactor', () => {
    const arena = new Uint8Array(100);
    const ints = (...values) => Int32Array.from(values);
    const shared = new Uint8Array(new SharedArrayBuffer(100));
    const memory = new ArrayBuffer(100);
    const detached = new Uint8Array(100);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    for (const [expected, act] of [
      [range, () => reactor.addTun(0, 65536)],
      [range, () => reactor.addTun(0, -1)],
      [type, () => reactor.addTun(null, 0)],
      [type, () => reactor.pauseRead('0', true)],
      [range, () => reactor.setTimer(NaN)],
      [type, () => reactor.setTimer(1n)],
      [type, () => reactor.setTimer()],
      [type, () => reactor.readBatch(arena, ints(0), 1, 100)],
      [type, () => reactor.readBatch(ints(0), ints(0), 1, 1, ints(0, 0))],
      [type, () => reactor.readBatch(arena, [0], 1, 1, ints(0, 0))],
      [type, () => reactor.readBatch(arena, new Uint32Array(1), 1, 1, ints(0, 0))],
      [type, () => reactor.readBatch(new DataView(memory), ints(0), 1, 1, ints(0, 0))],
      [type, () => reactor.readBatch(shared, ints(0), 1, 1, ints(0, 0))],
      [range, () => reactor.readBatch(detached, ints(0), 1, 1, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(0), 2, 1, ints(0, 0, 0, 0))],
      [range, () => reactor.readBatch(arena, ints(0), 1, 0, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(0), 1, 101, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(1), 1, 100, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(-1), 1, 1, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(2 ** 31 - 1), 1, 2 ** 31 - 2, ints(0, 0))],
      [range, () => reactor.readBatch(arena, ints(0), 1, 100, ints(0))],
      [range, () => reactor.readBatch(new Uint8Array(memory), new Int32Array(memory, 0, 1), 1, 10, ints(0, 0))],
      [range, () => reactor.readBatch(arena, new Int32Array(memory, 0, 2), 1, 10, new Int32Array(memory, 4, 2))],
      [range, () => reactor.writeBatch(arena, ints(0, 0), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(0, 0, 1), 1, ints())],
      [range, () => reactor.writeBatch(arena, ints(0, 1, 100), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(0, 0, 0), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(0, -1, 1), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(0, 2 ** 31 - 1, 2 ** 31 - 1), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(65536, 0, 1), 1, ints(0))],
      [range, () => reactor.writeBatch(arena, ints(0, 0, 1), -1, ints(0))],
    ])
      assert.throws(act, expected, String(act));
    for (const stranger of [{}, Object.create(reactor), null, new Date()])
      assert.throws(() => reactor.setTimer.call(stranger, 0), TypeError);
    assert.throws(() => reactor.removeTun(5), code('ENOENT'));
    assert.throws(() => reactor.addTun(1000000, 5), code('EBADF'));
  });

  test('descriptors', () => {
    const tun = openTun({ name: 'arg0', netns: paths[0] });
    reactor.addTun(tun.fd, 3);
    assert.throws(() => reactor.addTun(tun.fd, 3), code('EEXIST'));
    assert.throws(() => reactor.addTun(tun.fd, 4), code('EEXIST'));
    assert.throws(() => reactor.removeTun(4), code('ENOENT'));
    assert.throws(() => closeFd(tun.fd), code('EBUSY'));
    reactor.removeTun(3);
    closeFd(tun.fd);
  });
});

describe('TCP', () => {
  const connected = async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect(server.address().port, '127.0.0.1');
    const [peer] = await once(server, 'connection');
    if (client.connecting) await once(client, 'connect');
    return { server, client, peer, fd: client._handle.fd };
  };

  test('what the peer has not acknowledged is counted', async () => {
    const { server, client, peer, fd } = await connected();
    assert.equal(native.unacknowledgedOctets(fd), 0);
    client.write(new Uint8Array(8e6));
    while (native.unacknowledgedOctets(fd) === 0) await sleep(1);
    assert.ok(native.unacknowledgedOctets(fd) <= 8e6);
    client.destroy();
    peer.destroy();
    server.close();
  });

  test('closing resets when it was asked for', async () => {
    const { server, client, peer, fd } = await connected();
    native.resetOnClose(fd);
    native.delayAcknowledgements(fd);
    client.destroy();
    peer.resume();
    const [error] = await once(peer, 'error');
    assert.equal(error.code, 'ECONNRESET');
    server.close();
  });

  test('what is no socket is refused', () => {
    const file = openSync('/dev/null', 'r');
    assert.throws(() => native.unacknowledgedOctets(file), code('ENOTTY'));
    assert.throws(() => native.resetOnClose(file), code('ENOTSOCK'));
    assert.throws(() => native.delayAcknowledgements(file), code('ENOTSOCK'));
    assert.throws(() => native.resetOnClose(-1), RangeError);
    assert.throws(() => native.unacknowledgedOctets(), TypeError);
    closeSync(file);
  });
});

describe('life', () => {
  const fresh = (script) =>
    output(
      process.execPath,
      '--expose-gc',
      '--input-type=module',
      '-e',
      `import * as native from ${JSON.stringify(new URL('../index.js', import.meta.url).href)};\n${script}`,
    );

  test('a closed reactor refuses, and closing twice is harmless', () => {
    const reactor = createReactor(() => {});
    reactor.close();
    reactor.close();
    assert.throws(() => reactor.setTimer(0), code('EBADF'));
  });

  test('closing from onWake', async () => {
    await new Promise((resolve) => {
      const reactor = createReactor(() => {
        reactor.close();
        resolve();
      });
      reactor.setTimer(1);
    });
  });

  test('descriptors and memory are given back', async () => {
    const cycle = async () => {
      for (let i = 0; i < 500; i++) {
        const reactor = createReactor(() => {});
        reactor.setTimer(1);
        reactor.close();
      }
      await sleep(1);
      global.gc?.();
      await sleep(1);
    };
    await cycle();
    const descriptors = openDescriptors();
    const memory = process.memoryUsage.rss();
    for (let i = 0; i < 20; i++) await cycle();
    assert.equal(openDescriptors(), descriptors);
    assert.ok(process.memoryUsage.rss() - memory < 8e6, `${process.memoryUsage.rss() - memory}`);
  });

  test('open, it keeps the process alive though nobody refers to it; closed, it does not', async () => {
    const { status, text } = await fresh(`
      (function () { const r = native.createReactor(() => { console.log('woken'); r.close(); }); r.setTimer(native.monotonicNanoseconds() + 2e8); })();
      gc(); setTimeout(gc, 50);`);
    assert.deepEqual([status, text], [0, 'woken\n']);
  });

  test('an exception in onWake is uncaught, and the next wake-up still comes', async () => {
    const { status, text } = await fresh(`
      process.on('uncaughtException', (error) => console.log(error.message));
      let n = 0;
      const r = native.createReactor(() => { r.timerExpired(); if (++n === 3) return r.close(); r.setTimer(1); throw new Error('thrown ' + n); });
      r.setTimer(1);`);
    assert.deepEqual([status, text], [0, 'thrown 1\nthrown 2\n']);
  });

  test('microtasks and nextTick run after onWake, before the next one', async () => {
    const { text } = await fresh(`
      let n = 0;
      const r = native.createReactor(() => { console.log('wake'); Promise.resolve().then(() => console.log('micro')); process.nextTick(() => console.log('tick')); if (++n === 2) r.close(); else r.setTimer(1); });
      r.setTimer(1);`);
    assert.equal(text, 'wake\ntick\nmicro\nwake\ntick\nmicro\n');
  });

  test('process.exit with everything open', async () => {
    const { status } = await fresh(`
      const r = native.createReactor(() => process.exit(3)); r.addTun(native.openTun({ name: 'x0', netns: '${paths[0]}' }).fd, 1); r.setTimer(1);`);
    assert.equal(status, 3);
  });

  test('a Worker that ends, or is terminated, takes its reactors and devices with it', async () => {
    const script = (end) => `
      import(${JSON.stringify(new URL('../index.js', import.meta.url).href)}).then((native) => {
        const home = require('fs').readlinkSync('/proc/thread-self/ns/net');
        const tun = native.openTun({ name: 'worker0', netns: '${paths[0]}' });
        if (require('fs').readlinkSync('/proc/thread-self/ns/net') !== home) throw new Error('lost');
        let n = 0;
        const r = native.createReactor(() => { r.timerExpired(); if (++n < 5) return r.setTimer(1); require('worker_threads').parentPort.postMessage('up'); ${end} });
        native.createReactor(() => {}).close();
        r.addTun(tun.fd, 0); r.setTimer(1);
      })`;
    for (const end of ['process.exit()', 'for (;;);', '']) {
      const descriptors = openDescriptors();
      const worker = new Worker(script(end), { eval: true });
      const exited = once(worker, 'exit');
      await once(worker, 'message');
      await worker.terminate();
      await exited;
      assert.throws(() => run('ip', '-n', names[0], 'link', 'show', 'worker0'));
      assert.equal(openDescriptors(), descriptors);
    }
  });
});

describe('scheduling', () => {
  const policy = () => Number(readFileSync('/proc/thread-self/stat', 'utf8').split(') ')[1].split(' ')[38]);

  test('real-time priority comes and goes, and is not inherited', () => {
    assert.equal(native.setRealtimePriority(10), true);
    try {
      assert.equal(policy(), 1);
      assert.match(run('chrt', '-p', `${process.pid}`), /SCHED_FIFO/);
      assert.match(run('sh', '-c', 'chrt -p $$'), /SCHED_OTHER/);
    } finally {
      assert.equal(native.setRealtimePriority(0), true);
    }
    assert.equal(policy(), 0);
  });

  test('affinity and slack', () => {
    const allowed = () => readFileSync('/proc/thread-self/status', 'utf8').match(/Cpus_allowed_list:\s+(.*)/)[1];
    const before = allowed();
    assert.equal(native.setCpuAffinity([0]), true);
    assert.equal(allowed(), '0');
    assert.equal(native.setCpuAffinity([1000]), false);
    const cpus = before.split(',').flatMap((part) => {
      const [low, high = low] = part.split('-').map(Number);
      return Array.from({ length: high - low + 1 }, (_, i) => low + i);
    });
    assert.equal(native.setCpuAffinity(cpus), true);
    assert.equal(allowed(), before);
    native.setTimerSlack(1);
    assert.equal(readFileSync('/proc/self/timerslack_ns', 'utf8').trim(), '1');
    native.setTimerSlack(0);
  });

  test('memory is locked, and V8 can still give its own back', async () => {
    const script = `import(${JSON.stringify(new URL('../index.js', import.meta.url).href)}).then((n) => {
      const locked = () => Number(require('fs').readFileSync('/proc/self/status', 'utf8').match(/VmLck:\\s+(\\d+)/)[1]);
      if (!n.lockMemory() || locked() < 20000) throw new Error('not locked: ' + locked());
      for (let k = 0; k < 5; k++) {
        let garbage = Array.from({ length: 2e5 }, (_, i) => ({ i, s: 'x' + i }));
        garbage = Array.from({ length: 1000 }, (_, i) => new Function('x', 'return x + ' + i)).map((f) => f(1));
        gc();
      }
      new (require('worker_threads').Worker)('1', { eval: true }).on('exit', () => console.log('fine'));
    })`;
    assert.deepEqual(await output(process.execPath, '--expose-gc', '-e', script), { status: 0, text: 'fine\n' });
  });

  test('a child ends with its parent', async () => {
    const index = JSON.stringify(new URL('../index.js', import.meta.url).href);
    const child = `import(${index}).then((n) => { n.parentDeathSignal(9); console.log(process.pid); setInterval(() => {}, 1000); })`;
    const parent = `const c = require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); c.stdout.once('data', (d) => { process.stdout.write(d); process.kill(process.pid, 9); });`;
    const { text } = await output(process.execPath, '-e', parent);
    await sleep(50);
    let state = 'gone';
    try {
      state = readFileSync(`/proc/${text.trim()}/stat`, 'utf8').split(') ')[1][0];
    } catch {}
    assert.match(state, /gone|Z|X/);
  });

  test('entering a namespace takes this thread and its later children', () => {
    const script = `import(${JSON.stringify(new URL('../index.js', import.meta.url).href)}).then((n) => {
      n.enterNetworkNamespace('${paths[0]}');
      console.log(require('child_process').execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' }).trim() === require('fs').readlinkSync('/proc/thread-self/ns/net'), require('fs').readlinkSync('/proc/thread-self/ns/net') !== '${here()}'); })`;
    assert.equal(run(process.execPath, '-e', script), 'true true\n');
  });
});
