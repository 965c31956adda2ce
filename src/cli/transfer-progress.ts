/** The progress of a transfer for people, on stderr. */
import { type ContactForecast, estimate, type TransferJob } from '../apps/ftp/index.ts';
import { note } from './verb.ts';

/** One line on a terminal, rewritten; a line every ten seconds elsewhere. Nothing in the first two seconds. */
export class ProgressLine {
  readonly #begun = performance.now();
  #shown = 0;
  #open = false;
  #rate: number | undefined;
  #last: { id: string; octets: number; at: number } | undefined;

  show(job: TransferJob, octets: number, of: number, contacts: ContactForecast): void {
    const now = performance.now();
    if (this.#last?.id !== job.id) {
      this.#rate = undefined;
      this.#last = { id: job.id, octets, at: now };
    } else if (now - this.#last.at >= 500) {
      const rate = ((octets - this.#last.octets) * 1000) / (now - this.#last.at);
      this.#rate = this.#rate === undefined ? rate : this.#rate * 0.8 + rate * 0.2;
      this.#last = { id: job.id, octets, at: now };
    }
    const every = process.stderr.isTTY ? 500 : 10_000;
    if (now - this.#begun < 2000 || now - this.#shown < every) return;
    this.#shown = now;
    const share = of === 0 ? 100 : Math.floor((100 * octets) / of);
    const line = `${job.remotePath}: ${octets} of ${of} octets, ${share} %${this.#speed()}${this.#eta(job, of - octets, contacts)}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else note(line);
    this.#open = process.stderr.isTTY === true;
  }

  event(text: string): void {
    this.end();
    note(`omni: ${text}`);
  }

  end(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }

  #speed(): string {
    return this.#rate === undefined ? '' : `, ${((this.#rate * 8) / 1000).toFixed(1)} kbit/s`;
  }

  #eta(job: TransferJob, left: number, contacts: ContactForecast): string {
    const now = BigInt(Date.now()) * 1_000_000n;
    const found = estimate(left, job.direction === 'fetch' ? 'in' : 'out', now, this.#rate, contacts);
    if (found === undefined) return '';
    const at = new Date(Number(found.doneAt / 1_000_000n)).toISOString();
    const soon = found.doneAt - now < 86_400_000_000_000n ? at.slice(11, 19) : at.slice(0, 16).replace('T', ' ');
    const passes =
      found.passes === 0 ? '' : ` (${found.passes === 1 ? 'this or the next pass' : `${found.passes} passes`})`;
    return `, done about ${soon} UTC${passes}`;
  }
}
