import { describe, expect, test } from 'vitest';
import { loadScenario } from '../../src/scenario/index.ts';
import { kernelRoutesNow, linkState, routeChanges } from '../../src/testbed/route-changes.ts';

const scenario = loadScenario('constellation');
const base = new Map(scenario.nodes.map((n) => [n.namespace, n.kernelRoutes]));
const now = (...usable: string[]) => kernelRoutesNow(scenario, new Set(usable));
const to = (routes: ReadonlyMap<string, readonly { prefix: string; device: string; via?: string }[]>, node: string) =>
  routes.get(`constellation-${node}`)!.find((r) => r.prefix === '10.40.0.1/32');

describe('kernel routes that follow the contacts', () => {
  test('the control centre uses the station that sees the spacecraft, the preferred one when both do', () => {
    expect(to(now('south-alpha'), 'control')).toMatchObject({ device: 'core', via: '192.168.40.2' });
    expect(to(now('north-alpha'), 'control')).toMatchObject({ via: '192.168.40.1' });
    expect(to(now('north-alpha', 'south-alpha'), 'control')).toMatchObject({ via: '192.168.40.1' });
    // The other station goes through the one in contact as well.
    expect(to(now('south-alpha'), 'north')).toMatchObject({ device: 'core', via: '192.168.40.2' });
  });

  test("without a contact the scenario's own routes stay", () => {
    expect(routeChanges(base, now())).toEqual([]);
  });

  test('only what differs is changed, and back again', () => {
    const south = now('south-alpha');
    expect(routeChanges(base, south)).toEqual([
      { namespace: 'constellation-north', lines: ['route replace 10.40.0.1/32 via 192.168.40.2 dev core'] },
      { namespace: 'constellation-control', lines: ['route replace 10.40.0.1/32 via 192.168.40.2 dev core'] },
    ]);
    expect(routeChanges(south, now('north-alpha'))).toHaveLength(3);
  });

  test('a link counts from AOS to LOS of both directions, and the next change is known', () => {
    const contact = (aosSeconds: number, losSeconds: number) => ({ aosSeconds, losSeconds });
    const links = [
      { link: 'always', directions: [undefined, undefined] as const },
      { link: 'both', directions: [[contact(10, 20)], [contact(12, 25), contact(40, 50)]] as const },
    ];
    expect(linkState(links, 0)).toEqual({ usable: new Set(['always']), nextChangeSeconds: 10 });
    expect(linkState(links, 10)).toEqual({ usable: new Set(['always']), nextChangeSeconds: 12 });
    expect(linkState(links, 12)).toEqual({ usable: new Set(['always', 'both']), nextChangeSeconds: 20 });
    expect(linkState(links, 20)).toEqual({ usable: new Set(['always']), nextChangeSeconds: 25 });
    expect(linkState(links, 60).nextChangeSeconds).toBe(Number.POSITIVE_INFINITY);
  });
});
