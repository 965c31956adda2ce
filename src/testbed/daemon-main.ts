/** The daemon's program: `node daemon-main.js <run directory>`, started by `omni up` only. */
import { basename } from 'node:path';
import { Daemon } from './daemon.ts';
import { testbedPaths } from './run-directory.ts';

const fatal = (error: unknown) => {
  process.stderr.write(`${new Date().toISOString()} event=fatal ${error instanceof Error ? error.stack : error}\n`);
  process.exit(70);
};
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);
process.title = `omni-daemon ${basename(process.argv[2] ?? '')}`;
await Daemon.run(testbedPaths(basename(process.argv[2] ?? '')));
