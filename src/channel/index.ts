export * from './bit-clock.ts';
export * from './contacts.ts';
export * from './error-source.ts';
export * from './line.ts';
export * from './line-coding.ts';
export * from './noise.ts';
export * from './receiver.ts';
export * from './timeline.ts';
