export * from './load.ts';
export { PRESET_NAMES, PRESETS, type Preset, type PresetName } from './presets.ts';
export * from './resolved.ts';
export { jsonSchema, type ScenarioInput } from './schema.ts';
export * from './units.ts';
