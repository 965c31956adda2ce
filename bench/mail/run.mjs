#!/usr/bin/env node
// `npm run bench:mail [-- memory | passes] [--messages=N] [--passes=N] [--kills=N] [--seed=N] [--period=S] [--pass=S]`:
// the mail relay for real.
//
// `memory`: peak resident memory of `omni serve smtp` with 10,000 queued messages and with 1 GB in transit.
// `passes` (root, some twelve minutes; `--period=120 --pass=30` some forty): 1,000 messages both ways over 20 passes in network namespaces, while the two relays and the
// link daemon are killed (-9) 50 times. Ends with 1 when a message is lost, is there twice, or came outside a contact.
import { parseArgs } from 'node:util';
import { measureMemory } from './memory.mjs';
import { runPasses } from './passes.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    messages: { type: 'string', default: '1000' },
    passes: { type: 'string', default: '20' },
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: '12' },
    period: { type: 'string', default: '30' },
    pass: { type: 'string', default: '20' },
    megabytes: { type: 'string', default: '1000' },
    queued: { type: 'string', default: '10000' },
  },
});
const wanted = positionals.length === 0 ? ['memory', 'passes'] : positionals;
const n = (name) => Number(values[name]);
let good = true;
if (wanted.includes('memory')) good = (await measureMemory(n('queued'), n('megabytes'))) && good;
if (wanted.includes('passes'))
  good =
    (await runPasses({
      messages: n('messages'),
      passes: n('passes'),
      kills: n('kills'),
      seed: n('seed'),
      period: n('period'),
      pass: n('pass'),
    })) && good;
process.exitCode = good ? 0 : 1;
