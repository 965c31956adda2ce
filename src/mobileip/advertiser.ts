/**
 * When a foreign agent advertises on one link: RFC 1256 section 6.2 with RFC 5944 section 2.3.
 *
 * `periodic` repeats at a random interval; `link-up` advertises once when the link comes up; `solicited` only when asked. On a
 * 2 kbit/s uplink an advertisement takes 220 ms, so the last two are for space. All answer solicitations, and all send one
 * advertisement, number 0, after a start on a link that is up: it is how a mobile node learns that its visitor entry is gone. After
 * a start out of contact there is no need: a mobile node registers anew with every contact.
 */
import { type Duration, type Instant, latest, NEVER, plus, seconds } from '../core/index.ts';
import {
  MAX_INITIAL_ADVERTISEMENT_INTERVAL_SECONDS,
  MAX_INITIAL_ADVERTISEMENTS,
  nextSequence,
} from './agent-discovery.ts';

export type AdvertisementMode = 'periodic' | 'link-up' | 'solicited';

export interface AdvertiserOptions {
  readonly mode: AdvertisementMode;
  /** Seconds; RFC 1256 has 4 to 1800 and a minimum of three quarters of it. */
  readonly maximumInterval: number;
  /** Least time between two advertisements on the link (section 2.3: the rate MUST be limited). */
  readonly minimumSpacing: Duration;
  /** Uniform in 0 … 1. */
  readonly uniform: () => number;
}

export class Advertiser {
  readonly #options: AdvertiserOptions;
  #up = false;
  #started = false;
  #initial = MAX_INITIAL_ADVERTISEMENTS;
  #sequence = 0;
  #last: Instant | undefined;
  #at: Instant = NEVER;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
  }

  get nextAt(): Instant {
    return this.#up ? this.#at : NEVER;
  }

  linkUp(now: Instant): void {
    this.#up = true;
    this.#initial = MAX_INITIAL_ADVERTISEMENTS;
    if (this.#options.mode !== 'solicited' || !this.#started) this.#schedule(now, now);
    this.#started = true;
  }

  linkDown(): void {
    this.#up = false;
    this.#started = true;
    this.#at = NEVER;
  }

  solicited(now: Instant): void {
    if (this.#up) this.#schedule(now, now);
  }

  /** RFC 3543 section 4.1: number 0 tells visitors that their registrations are gone. */
  restartSequence(now: Instant): void {
    this.#sequence = 0;
    if (this.#up) this.#schedule(now, now);
  }

  /** The sequence number to advertise with now, or undefined when none is due. */
  take(now: Instant): number | undefined {
    if (this.nextAt > now) return undefined;
    const sequence = this.#sequence;
    this.#sequence = nextSequence(sequence);
    this.#last = now;
    this.#at = this.#options.mode === 'periodic' ? plus(now, this.#interval()) : NEVER;
    return sequence;
  }

  #schedule(wanted: Instant, now: Instant): void {
    const allowed = this.#last === undefined ? now : plus(this.#last, this.#options.minimumSpacing);
    const at = latest(wanted, allowed);
    if (at < this.#at) this.#at = at;
  }

  #interval(): Duration {
    const { maximumInterval, uniform } = this.#options;
    // RFC 1256 section 4.1: not whole seconds, or agents fall into step.
    let interval = maximumInterval * (0.75 + 0.25 * uniform());
    if (this.#initial > 1) {
      this.#initial -= 1;
      interval = Math.min(interval, MAX_INITIAL_ADVERTISEMENT_INTERVAL_SECONDS);
    }
    return seconds(interval);
  }
}
