/** Loads the native addon, or says what to do when it is not built. */
import { OmniError } from '../core/index.ts';

export type Native = typeof import('../../native/index.js');
export type { Reactor } from '../../native/index.js';
/** What runs a data plane: the clock and the reactor. Virtual time (virtual-reactor.ts) has them too. */
export type ReactorSource = Pick<Native, 'monotonicNanoseconds' | 'createReactor' | 'TRUNCATED'> & {
  /** The clock stands still while the driver runs: nobody wakes late, and to spin until a deadline would never end. */
  readonly virtualTime?: true;
};

let loaded: Promise<Native> | undefined;

/** Throws OmniError OMNI_UNAVAILABLE when the addon is missing or was built for another machine. */
export function loadNative(): Promise<Native> {
  loaded ??= import('../../native/index.js').catch((cause: unknown) => {
    throw new OmniError('OMNI_UNAVAILABLE', 'the native addon cannot be loaded', {
      cause,
      remedy: "run 'npm run setup' in the folder of omni to build it",
    });
  });
  return loaded;
}
