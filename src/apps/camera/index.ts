export * from './earth-limb.ts';
export * from './photograph.ts';
export * from './png.ts';
export * from './settings.ts';
