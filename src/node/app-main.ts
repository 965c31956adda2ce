/** An app process's program: `node app-main.js <run directory> <node>`, started by the daemon only. */
import { basename } from 'node:path';
import { testbedPaths } from '../testbed/run-directory.ts';
import { runApp } from './app.ts';

const [, , directory = '', node = ''] = process.argv;
const fatal = (error: unknown) => {
  process.stderr.write(`${new Date().toISOString()} event=fatal ${error instanceof Error ? error.stack : error}\n`);
  process.exit(70);
};
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);
process.title = `omni-app ${basename(directory)} ${node}`;
await runApp(testbedPaths(basename(directory)), node);
