import { expect, it } from 'vitest';
import { Traffic } from '../../../src/lab/sweep/traffic.ts';

it('traffic whose thread is no more fails at once, and does not wait for it', async () => {
  // Beside the sources there is no compiled worker, so its thread ends as it begins.
  const traffic = new Traffic();
  const request = {
    kind: 'request-response',
    client: '',
    server: '',
    serverAddress: '',
    requests: 1,
    requestOctets: 1,
    responseOctets: 1,
    seed: '',
  } as const;
  const { signal } = new AbortController();
  const before = await traffic.run(request, signal);
  expect(before.error).toContain('traffic-worker');
  expect((await traffic.run(request, signal)).error).toBe(before.error);
  await traffic.close();
});
