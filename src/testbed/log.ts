/**
 * The log of a daemon or app process, whose standard output is its log file. /run is memory, and a testbed may be up for
 * months: past a size the file is kept once as `<file>.1` and begins anew.
 */
import { copyFileSync, ftruncateSync } from 'node:fs';

const LARGEST_OCTETS = 8 << 20;
const STDOUT = 1;

/** One line, `key=value …`, with the time in front. @param file what standard output was opened on, for appending */
export function fileLog(file: string, largestOctets = LARGEST_OCTETS): (line: string) => void {
  let octets = 0;
  return (line) => {
    const text = `${new Date().toISOString()} ${line}\n`;
    octets += text.length;
    if (octets > largestOctets) {
      octets = text.length;
      try {
        copyFileSync(file, `${file}.1`);
        ftruncateSync(STDOUT);
      } catch {
        // A log that cannot be kept small is no reason to stop the link.
      }
    }
    process.stdout.write(text);
  };
}
