/**
 * The settings of each service that a node can have: the key under the node and its schema. A service runs on the nodes that
 * name it (`ftp: {}` takes all defaults). A new service adds a line here and one in src/node/services/index.ts.
 */
import { z } from 'zod';

export const SERVICE_SETTINGS = {
  ftp: z.looseObject({}).meta({ description: 'The FTP server.' }),
  ntp: z.looseObject({}).meta({ description: 'The NTP server or client.' }),
  smtp: z.looseObject({}).meta({ description: 'The store-and-forward mail relay.' }),
  telemetry: z.looseObject({}).meta({ description: 'Telemetry in UDP: the source or the recorder.' }),
  command: z.looseObject({}).meta({ description: 'The command receiver or sender.' }),
  mobileIp: z.looseObject({}).meta({ description: 'Mobile IP: home agent, foreign agent or mobile node.' }),
} as const;

export type ServiceName = keyof typeof SERVICE_SETTINGS;
export const SERVICE_NAMES = Object.keys(SERVICE_SETTINGS) as ServiceName[];
