/**
 * Named counters. Names are dotted lower case (`drop.fcs`); a snapshot is a plain sorted object for status and metrics.
 * Numbers stay exact to 2^53.
 */
export class Counters<Name extends string = string> {
  readonly #values = new Map<Name, number>();

  add(name: Name, amount = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + amount);
  }

  get(name: Name): number {
    return this.#values.get(name) ?? 0;
  }

  /** The sum of all counters whose name starts with the prefix. */
  sum(prefix: string): number {
    let total = 0;
    for (const [name, value] of this.#values) if (name.startsWith(prefix)) total += value;
    return total;
  }

  snapshot(): Record<string, number> {
    return Object.fromEntries([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
