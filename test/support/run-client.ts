/** Runs a stock program to its end; the event loop stays free, because the server under test runs in this process. */
import { spawn } from 'node:child_process';

/** Its stdout. Rejects with all it said when it does not end with 0. */
export function runClient(program: string, options: readonly string[], folder: string, input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    // A home of its own: nobody's settings decide over a test.
    const child = spawn(program, options, { cwd: folder, env: { ...process.env, HOME: folder }, stdio: 'pipe' });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${program} ended with ${code ?? signal}:\n${out}\n${err}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
