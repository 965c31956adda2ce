// How late setTimer wakes an otherwise idle loop. Deadlines at random 0.5-3 ms from the one before.
// usage: node bench/timer.mjs [deadlines = 2000]     (the second half of the figures needs root)
import { createReactor, monotonicNanoseconds, setRealtimePriority } from '../index.js';

const total = Number(process.argv[2] ?? 2000);

function measure() {
  return new Promise((resolve) => {
    const lateness = [];
    let deadline = 0;
    const next = () => {
      deadline = monotonicNanoseconds() + 0.5e6 + Math.random() * 2.5e6;
      reactor.setTimer(deadline);
    };
    const reactor = createReactor(() => {
      const now = monotonicNanoseconds();
      if (!reactor.timerExpired()) return;
      lateness.push((now - deadline) / 1000);
      if (lateness.length < total) return next();
      reactor.close();
      resolve(lateness.sort((x, y) => x - y));
    });
    next();
  });
}

const show = (name, sorted) => {
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))].toFixed(1);
  console.log(
    `${name}: lateness_us p50=${at(0.5)} p90=${at(0.9)} p99=${at(0.99)} max=${at(1)} min=${at(0)} n=${sorted.length}`,
  );
};

await measure(); // warm
for (let round = 0; round < 3; round++) {
  setRealtimePriority(0);
  show('SCHED_OTHER', await measure());
  if (setRealtimePriority(20)) show('SCHED_FIFO ', await measure());
  else console.log('SCHED_FIFO : not permitted');
}
