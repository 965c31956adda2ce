/** What a `tcp` section means to the Linux kernel: sysctls of the namespace and attributes of its routes. */
import type { ScenarioTcp } from './schema.ts';

type TcpKeys = Omit<ScenarioTcp, 'stack'>;

/** Named stacks. `2000`: what spacecraft and their ground stations had that year; RTO as RFC 2988 had it. */
const STACKS: Readonly<Record<NonNullable<ScenarioTcp['stack']>, TcpKeys>> = {
  '2000': {
    congestionControl: 'reno',
    sack: false,
    rack: false,
    frto: false,
    timestamps: false,
    windowScaling: false,
    ecn: false,
    minimumRto: 1e9 as NonNullable<TcpKeys['minimumRto']>,
    initialWindow: 2,
  },
  // RFC 2488, "Enhancing TCP Over Satellite Channels using Standard Mechanisms": large windows and SACK over Reno.
  rfc2488: {
    congestionControl: 'reno',
    sack: true,
    rack: false,
    frto: false,
    timestamps: true,
    windowScaling: true,
    minimumRto: 1e9 as NonNullable<TcpKeys['minimumRto']>,
    initialWindow: 4,
  },
  // Linux as distributions ship it: CUBIC (RFC 9438) with SACK, RACK-TLP and timestamps, whatever this host prefers.
  today: { congestionControl: 'cubic' },
  bbr: { congestionControl: 'bbr' },
};

/** The word of `ip route` before an algorithm's name. */
export const CONGESTION_CONTROL = 'congctl';

/**
 * The route's `window` bounds what is announced at first only: from the first full segments on Linux makes the window from the receive
 * buffer and what a segment costs of it, 0.48 of the buffer at 512 octets a segment and 0.62 at 1448 on a TUN device (Linux 6.18).
 */
const BUFFER_OF_A_WINDOW = 1 / 0.62;

export interface KernelTcp {
  readonly sysctls: Readonly<Record<string, string>>;
  /** Words of `ip route`. */
  readonly routeAttributes: readonly string[];
}

export function kernelTcp(scenario: ScenarioTcp | undefined, node: ScenarioTcp | undefined): KernelTcp {
  const named = node?.stack ?? scenario?.stack;
  const stack: TcpKeys = named === undefined ? {} : STACKS[named];
  const settings = { ...stack, ...given(scenario), ...(node?.stack !== undefined ? stack : {}), ...given(node) };
  const sysctls: Record<string, string> = {
    // A destination's metrics of an earlier connection would make a second run differ from the first.
    'net.ipv4.tcp_no_metrics_save': '1',
  };
  const flag = (key: string, value: boolean | undefined, on = '1') => {
    if (value !== undefined) sysctls[`net.ipv4.${key}`] = value ? on : '0';
  };
  flag('tcp_sack', settings.sack);
  flag('tcp_dsack', settings.sack);
  flag('tcp_recovery', settings.rack);
  // 3: tail loss probe, which belongs to RACK-TLP.
  flag('tcp_early_retrans', settings.rack, '3');
  flag('tcp_frto', settings.frto, '2');
  flag('tcp_timestamps', settings.timestamps);
  flag('tcp_window_scaling', settings.windowScaling);
  flag('tcp_ecn', settings.ecn);
  if (settings.bufferOctets !== undefined) {
    // The middle value is the size to begin with, which the largest does not limit by itself.
    const { bufferOctets: most } = settings;
    sysctls['net.ipv4.tcp_rmem'] = `4096 ${Math.min(131_072, most)} ${most}`;
    sysctls['net.ipv4.tcp_wmem'] = `4096 ${Math.min(16_384, most)} ${most}`;
  }
  if (settings.receiveWindow !== undefined) {
    const buffer = Math.ceil(settings.receiveWindow * BUFFER_OF_A_WINDOW);
    sysctls['net.ipv4.tcp_rmem'] = `${Math.min(4096, buffer)} ${buffer} ${buffer}`;
  }
  const routeAttributes: string[] = [];
  // Not the sysctl: a namespace may set that only to what the host's tcp_allowed_congestion_control lists.
  if (settings.congestionControl !== undefined) routeAttributes.push(CONGESTION_CONTROL, settings.congestionControl);
  if (settings.maximumSegment !== undefined) routeAttributes.push('advmss', String(settings.maximumSegment));
  if (settings.receiveWindow !== undefined) routeAttributes.push('window', String(settings.receiveWindow));
  if (settings.minimumRto !== undefined) routeAttributes.push('rto_min', `${Math.ceil(settings.minimumRto / 1e6)}ms`);
  if (settings.initialWindow !== undefined) routeAttributes.push('initcwnd', String(settings.initialWindow));
  return { sysctls, routeAttributes };
}

function given(tcp: ScenarioTcp | undefined): TcpKeys {
  const { stack: _, ...keys } = tcp ?? {};
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));
}
