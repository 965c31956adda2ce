/** Guards against password guessing: how many failed logins an address may have had before its connections are refused. */
import { type Duration, type Instant, minutes, since } from '../../core/index.ts';

/** Addresses remembered at once; the oldest is forgotten first, so memory is bounded. */
const REMEMBERED_ADDRESSES = 4096;

export class LoginLimit {
  readonly #failures = new Map<string, { count: number; last: Instant }>();
  readonly #allowed: number;
  readonly #window: Duration;

  constructor(options: { allowedFailures?: number; window?: Duration } = {}) {
    this.#allowed = options.allowedFailures ?? 20;
    this.#window = options.window ?? minutes(10);
  }

  isBlocked(address: string, now: Instant): boolean {
    const entry = this.#failures.get(address);
    if (entry === undefined) return false;
    if (since(now, entry.last) > this.#window) this.#failures.delete(address);
    else return entry.count >= this.#allowed;
    return false;
  }

  failed(address: string, now: Instant): void {
    const count = this.isBlocked(address, now) ? this.#allowed : (this.#failures.get(address)?.count ?? 0) + 1;
    this.#failures.delete(address);
    this.#failures.set(address, { count, last: now });
    const oldest = this.#failures.keys().next();
    if (this.#failures.size > REMEMBERED_ADDRESSES && !oldest.done) this.#failures.delete(oldest.value);
  }

  succeeded(address: string): void {
    this.#failures.delete(address);
  }
}
