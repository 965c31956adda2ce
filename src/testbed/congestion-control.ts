/** Which congestion controls this kernel has: those that it offers now, and modules that it loads when a route asks for them. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { OmniError } from '../core/index.ts';
import { didYouMean, type ResolvedScenario } from '../scenario/index.ts';
import { CONGESTION_CONTROL } from '../scenario/tcp.ts';

/** Undefined without /proc. */
export function availableCongestionControls(): string[] | undefined {
  try {
    return readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8').trim().split(/\s+/);
  } catch {
    return undefined;
  }
}

/** Throws OmniError OMNI_UNAVAILABLE, with the ones that there are, for one that this kernel has not. */
export function requireCongestionControl(name: string, where: string): void {
  const available = availableCongestionControls();
  if (available === undefined || available.includes(name) || isModule(name)) return;
  throw new OmniError(
    'OMNI_UNAVAILABLE',
    `${where}: this kernel has no congestion control '${name}'${didYouMean(name, available)}`,
    { remedy: `it has ${available.join(', ')}; others are kernel modules (tcp_${name}), or need another kernel` },
  );
}

export function requireCongestionControls(scenario: ResolvedScenario): void {
  for (const { name, routeAttributes } of scenario.nodes) {
    const wanted = congestionControlOf(routeAttributes);
    if (wanted !== undefined) requireCongestionControl(wanted, `node ${name}, tcp.congestionControl`);
  }
}

/** Undefined: the kernel's default. */
export function congestionControlOf(routeAttributes: readonly string[]): string | undefined {
  const at = routeAttributes.indexOf(CONGESTION_CONTROL);
  return at < 0 ? undefined : routeAttributes[at + 1];
}

function isModule(name: string): boolean {
  try {
    const modules = readFileSync(`/lib/modules/${release()}/modules.dep`, 'utf8');
    return new RegExp(`(^|/)tcp_${name}\\.ko[^:]*:`, 'm').test(modules);
  } catch {
    return false;
  }
}
