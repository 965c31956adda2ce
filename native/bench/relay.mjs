// The same relay in JS through the addon.
// usage: node relay.mjs <netns path A> <netns path B> <name A> <name B> <vnet header: 0|1> [priority]    Prints "ready".
import { createReactor, openTun, setRealtimePriority } from '../index.js';

const [pathA, pathB, nameA, nameB, vnet, priority] = process.argv.slice(2);
const vnetHeader = vnet === '1';
const slotOctets = vnetHeader ? 65536 + 16 : 2048;
const slots = vnetHeader ? 16 : 128;
const arena = new Uint8Array(slots * slotOctets);
const offsets = Int32Array.from({ length: slots }, (_, i) => i * slotOctets);
const read = new Int32Array(2 * slots);
const descriptors = new Int32Array(3 * slots);
const results = new Int32Array(slots);
const statistics = { wakes: 0, packets: 0, refused: 0 };

if (priority) setRealtimePriority(Number(priority));
const reactor = createReactor(() => {
  statistics.wakes++;
  const count = reactor.readBatch(arena, offsets, slots, slotOctets, read);
  let used = 0;
  for (let i = 0; i < count; i++) {
    const octets = read[2 * i + 1];
    if (octets < 0) continue;
    descriptors[used++] = 1 - read[2 * i];
    descriptors[used++] = offsets[i];
    descriptors[used++] = octets;
  }
  statistics.packets += count;
  if (used > 0) statistics.refused += used / 3 - reactor.writeBatch(arena, descriptors, used / 3, results);
});
reactor.addTun(openTun({ name: nameA, netns: pathA, vnetHeader }).fd, 0);
reactor.addTun(openTun({ name: nameB, netns: pathB, vnetHeader }).fd, 1);
process.on('SIGTERM', () => {
  console.log(JSON.stringify(statistics));
  process.exit(0);
});
console.log('ready');
