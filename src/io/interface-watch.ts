/**
 * Signs of life on network interfaces: an interface comes up, or a packet arrives after a silence. Read from /sys/class/net once a second,
 * which needs no privilege and sees every kind of interface; what a relay without a contact plan has instead of one.
 */
import { readFileSync } from 'node:fs';
import { OmniError } from '../core/index.ts';

const PERIOD_MS = 1000;
/** Packets closer together than this are one sign. */
const SILENCE_MS = 5000;

/** Throws OmniError when an interface is not there. Returns what ends the watch. */
export function watchInterfaces(names: readonly string[], alive: (name: string) => void): () => void {
  const seen = names.map((name) => {
    const state = stateOf(name);
    if (state === undefined)
      throw new OmniError('OMNI_INTERFACE', `there is no network interface ${name}`, { remedy: 'ip link lists them' });
    return { name, state, heard: performance.now() };
  });
  const timer = setInterval(() => {
    for (const one of seen) {
      const { up, packets } = stateOf(one.name) ?? { up: false, packets: 0 };
      const now = performance.now();
      const rose = up && !one.state.up;
      const received = packets > one.state.packets;
      if (rose || (received && now - one.heard >= SILENCE_MS)) alive(one.name);
      if (received) one.heard = now;
      one.state = { up, packets };
    }
  }, PERIOD_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function stateOf(name: string): { up: boolean; packets: number } | undefined {
  if (!/^[^/\s]{1,15}$/.test(name) || name.startsWith('.')) return undefined;
  try {
    const read = (file: string) => readFileSync(`/sys/class/net/${name}/${file}`, 'latin1').trim();
    // TUN devices and loopback know of no carrier: unknown is up.
    return { up: /^(up|unknown)$/.test(read('operstate')), packets: Number(read('statistics/rx_packets')) };
  } catch {
    return undefined;
  }
}
