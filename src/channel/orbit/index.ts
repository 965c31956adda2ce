// Apart from the channel's own index, so that only what computes passes loads the SGP4 library.
export * from './orbit.ts';
export * from './pass-search.ts';
