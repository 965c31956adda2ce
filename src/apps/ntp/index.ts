/** The spacecraft's clock and NTP (RFC 5905): pure machines. Adapters are in src/io/ntp-*.ts and src/io/clock.ts. */
export * from './client.ts';
export * from './clock-model.ts';
export * from './config.ts';
export * from './correction.ts';
export * from './discipline.ts';
export * from './discipline-omni.ts';
export * from './discipline-regression.ts';
export * from './discipline-rfc5905.ts';
export * from './exchange.ts';
export * from './experiments.ts';
export * from './figure.ts';
export * from './mac.ts';
export * from './packet.ts';
export * from './server.ts';
export * from './simulation.ts';
export * from './timestamp.ts';
