import { defineConfig } from 'vitest/config';

// Projects by what they need: `fast` runs anywhere in seconds; `sim` takes longer; `netns` needs root, TUN and iproute2;
// `interop` needs stock programs from Debian. A test that cannot run skips with its reason.
export default defineConfig({
  test: {
    // Vitest leaves one core idle by default, which on two is half the machine.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/{unit,vectors,property}/**/*.test.ts'],
          testTimeout: 120_000,
        },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 300_000 } },
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          pool: 'forks',
        },
      },
    ],
  },
});
