export * from './segment.ts';
export * from './tcp-connection.ts';
export * from './tcp-flow.ts';
