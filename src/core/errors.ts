/** Errors that a caller or the environment caused. What a peer sent is a `Result`, not one of these. */

/** An adapter could not do what it was asked. `message` says what was attempted; `remedy` what the user can do. */
export class OmniError extends Error {
  readonly code: `OMNI_${string}`;
  readonly remedy: string | undefined;
  constructor(code: `OMNI_${string}`, message: string, options: { cause?: unknown; remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OmniError';
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** A failed invariant is our bug: the process ends with exit code 70. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
