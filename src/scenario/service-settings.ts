/**
 * The settings of each service that a node can have: the key under the node and its schema. A service runs on the nodes that
 * name it (`ftp: {}` takes all defaults). A new service adds a line here and one in src/node/services/index.ts.
 */
import { cameraSettings } from '../apps/camera/settings.ts';
import { commandSettings } from '../apps/command/config.ts';
import { ftpSettings } from '../apps/ftp/settings.ts';
import { ntpSettings } from '../apps/ntp/config.ts';
import { mailSettings } from '../apps/smtp/settings.ts';
import { telemetrySettings } from '../apps/telemetry/config.ts';
import { foreignAgentSettings, homeAgentSettings, mobileNodeSettings } from '../mobileip/settings.ts';

export const SERVICE_SETTINGS = {
  ftp: ftpSettings.meta({ description: 'The FTP server.' }),
  camera: cameraSettings.meta({ description: "The onboard camera: photographs in the FTP server's folder." }),
  ntp: ntpSettings.meta({ description: 'NTP: a client that steers the clock, a server, or both.' }),
  telemetry: telemetrySettings.meta({ description: 'Telemetry in UDP: the downlink or the recorder.' }),
  smtp: mailSettings.meta({ description: 'The store-and-forward mail relay.' }),
  homeAgent: homeAgentSettings.meta({ description: 'Mobile IP: the home agent of a virtual home network.' }),
  foreignAgent: foreignAgentSettings.meta({ description: 'Mobile IP: a foreign agent for the links of this node.' }),
  mobileNode: mobileNodeSettings.meta({ description: 'Mobile IP: keeps its address at any station.' }),
  command: commandSettings.meta({ description: 'The command receiver of a spacecraft.' }),
} as const;

export type ServiceName = keyof typeof SERVICE_SETTINGS;
export const SERVICE_NAMES = Object.keys(SERVICE_SETTINGS) as ServiceName[];
