/** A node's FTP server: the spacecraft's files, on both address families of its namespace. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ftpSettings } from '../../apps/ftp/index.ts';
import { FtpServer } from '../../io/ftp-server.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

export const startFtp: StartService = async (context: ServiceContext): Promise<Service> => {
  const { root: givenRoot, port, implicitTlsPort, ...settings } = ftpSettings.parse(context.settings ?? {});
  const root = resolve(givenRoot ?? join(context.stateDirectory, 'files'));
  await mkdir(root, { recursive: true });
  const families = ['0.0.0.0', '::'];
  const server = await FtpServer.start({
    listen: families.flatMap((address) => [
      { address, port, implicitTls: false },
      ...(implicitTlsPort === undefined ? [] : [{ address, port: implicitTlsPort, implicitTls: true }]),
    ]),
    root,
    settings,
    greeting: `${context.scenario} ${context.node}: FTP server ready.`,
    contacts: context.contacts,
    wallTime: () => context.clock.now(),
    log: (line) => context.log(`ftp ${line}`),
  });
  return {
    name: 'ftp',
    status: () => ({ root, ...server.status() }),
    close: () => server.close(),
  };
};
