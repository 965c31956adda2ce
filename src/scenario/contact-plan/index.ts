export * from './error-file.ts';
export * from './hdtn.ts';
export * from './ion.ts';
export * from './plan.ts';
