/** Every service that a node can run, by its key in the scenario. Loaded when a node has it. */
import type { ServiceName } from '../../scenario/service-settings.ts';
import type { StartService } from '../service.ts';

export interface ServiceEntry {
  readonly load: () => Promise<StartService>;
  /** It needs root after its start (raw sockets, routes); the node's app process then keeps it. */
  readonly keepsRoot?: true;
}

export const SERVICES: Readonly<Partial<Record<ServiceName, ServiceEntry>>> = {
  ftp: { load: async () => (await import('./ftp.ts')).startFtp },
  smtp: { load: async () => (await import('./mail.ts')).startMail },
  camera: { load: async () => (await import('./camera.ts')).startCamera },
  command: { load: async () => (await import('./command.ts')).startCommand },
  ntp: { load: async () => (await import('./ntp.ts')).startNtp },
  telemetry: { load: async () => (await import('./telemetry.ts')).startTelemetry },
  homeAgent: { load: async () => (await import('./home-agent.ts')).startHomeAgent, keepsRoot: true },
  foreignAgent: { load: async () => (await import('./foreign-agent.ts')).startForeignAgent, keepsRoot: true },
  mobileNode: { load: async () => (await import('./mobile-node.ts')).startMobileNode, keepsRoot: true },
};
