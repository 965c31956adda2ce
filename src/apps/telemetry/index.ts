/** CCSDS telemetry in UDP: packets, the dictionary, the onboard downlink, the ground's gap tracking. Adapters are in src/io. */
export * from './config.ts';
export * from './cuc.ts';
export * from './dictionary.ts';
export * from './dictionary-page.ts';
export * from './downlink.ts';
export * from './export.ts';
export * from './fields.ts';
export * from './gap-tracker.ts';
export * from './packets.ts';
export * from './space-packet.ts';
export * from './spacecraft-dictionary.ts';
export * from './xtce.ts';
