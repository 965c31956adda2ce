/** Exit codes, documented in docs/man/omni.1.md. Numbers from sysexits.h where one fits. */
export const EXIT = {
  success: 0,
  /** It was tried and did not succeed (a transfer failed, a check found something). */
  failure: 1,
  /** The command line is wrong. */
  usage: 64,
  /** A scenario, plan or other input file is wrong. */
  dataError: 65,
  /** Something the machine must have is missing: /dev/net/tun, `ip`, a newer Node. */
  unavailable: 69,
  /** A failed invariant: our bug. */
  software: 70,
  /** The testbed named is not up, is up already, or the daemon does not answer. */
  temporary: 75,
  /** Root is needed. */
  noPermission: 77,
  /** Ctrl-C. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
