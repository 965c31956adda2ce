export * from './load.ts';
export { PRESET_NAMES, PRESETS, type Preset, type PresetName } from './presets.ts';
export { didYouMean } from './problems.ts';
export { parseUtc } from './quantities.ts';
export * from './resolved.ts';
export { jsonSchema, type ScenarioInput } from './schema.ts';
export * from './units.ts';
