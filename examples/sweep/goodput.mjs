// Goodput of two TCP stacks over a link with bit errors, from a program. Needs root: sudo node examples/sweep/goodput.mjs
import { isSound, summariseCells, sweep } from 'omni';

const results = [];
const runs = sweep(
  {
    name: 'goodput',
    set: { rate: '1M', rtt: '20ms', mtu: 576, 'workload.octets': 100_000 },
    vary: { stack: ['2000', 'today'], 'down.ber': [1e-6, 1e-5] },
    repetitions: Number(process.env.REPETITIONS ?? 10),
  },
  { output: process.env.OUTPUT ?? 'goodput.jsonl', note: (text) => console.error(text) },
);
for await (const result of runs) {
  results.push(result);
  if (!isSound(result)) continue;
  const { varied } = result.settings;
  console.error(varied, `${(100 * result.measures.utilisation).toFixed(1)} % of the line`);
}
for (const { varied, runs: count, measures } of summariseCells(results)) {
  const { mean, meanInterval } = measures.goodput;
  console.log(
    varied.stack,
    varied['down.ber'],
    count,
    Math.round(mean),
    Math.round(meanInterval.low),
    Math.round(meanInterval.high),
  );
}
