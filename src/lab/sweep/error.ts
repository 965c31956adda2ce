/** A matrix that cannot be run, with the key that is at fault. Thrown before anything is built. */
import { OmniError } from '../../core/index.ts';

export class SweepError extends OmniError {
  /** As the job names it. */
  readonly key: string;
  constructor(key: string, message: string, remedy?: string) {
    super('OMNI_BAD_SWEEP', `${key}: ${message}`, remedy === undefined ? {} : { remedy });
    this.key = key;
  }
}
