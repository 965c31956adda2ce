/** Telecommands: one authenticated form for blind (UDP), reliable (TCP) and filed commands. Adapters are in src/io/command-*.ts. */
export * from './config.ts';
export * from './receiver.ts';
export * from './replay-window.ts';
export * from './telecommand.ts';
