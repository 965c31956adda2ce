/**
 * A scenario in which a spacecraft meets every kind of station in turn, four seconds each: a foreign agent (wallops), an address of its own
 * (canberra), a pair of one-way stations (santiago transmits, hartebeest receives), and an address of its own behind a NAT
 * (madrid). Its home network is a LAN (goddard, bench); an onboard LAN moves with it. Ingress filters stand at `core`.
 */
const KEY = '6b25a8d1f00e4c3b97a2d5c4e1f80912';
const SHARED = { spi: 2000, key: '00112233445566778899aabbccddeeff' };

export const WINDOW_SECONDS = 4;
export const HOME = '10.9.0.5';
export const INSTRUMENT = '10.200.5.2';
export const NAT = { inside: '10.66.0.5', outside: '10.5.0.77' };
const STATIONS = ['wallops', 'canberra', 'santiago', 'madrid'];

export function attachmentScenario(name: string): object {
  const period = STATIONS.length * WINDOW_SECONDS;
  const contacts = (i: number) => ({
    period: `${period}s`,
    duration: `${WINDOW_SECONDS}s`,
    first: `${i * WINDOW_SECONDS}s`,
  });
  const rates = { up: { rate: '256k', delay: '5ms' }, down: { rate: '256k', delay: '5ms' } };
  const toCore = [{ to: 'default', via: 'core' }];
  const foreignAgent = { advertisement: 'solicited', homeAgents: [{ address: '10.0.0.1', security: SHARED }] };
  return {
    name,
    nodes: {
      spacecraft: {
        kind: 'spacecraft',
        address: '10.8.0.99',
        mobileNode: {
          homeAgent: '10.0.0.1',
          homeAddress: HOME,
          security: { spi: 1000, key: KEY },
          lifetimeSeconds: 60,
          networks: ['10.200.5.0/24'],
          careOfAddresses: { canberra: '10.4.100.5', madrid: NAT.inside },
        },
      },
      instrument: { kind: 'host', routes: [{ to: 'default', via: 'spacecraft' }] },
      wallops: { kind: 'ground-station', address: '10.8.0.1', routes: toCore, foreignAgent },
      canberra: {
        kind: 'ground-station',
        address: '10.8.0.2',
        routes: [...toCore, { to: '10.4.100.5/32', via: 'space-canberra' }],
      },
      santiago: { kind: 'ground-station', address: '10.8.0.3', routes: toCore, foreignAgent },
      hartebeest: {
        kind: 'ground-station',
        address: '10.8.0.4',
        routes: toCore,
        foreignAgent: { ...foreignAgent, returnTo: 'santiago' },
      },
      madrid: {
        kind: 'ground-station',
        address: '10.8.0.5',
        routes: [...toCore, { to: `${NAT.inside}/32`, via: 'space-madrid' }],
      },
      core: {
        kind: 'router',
        routes: [
          { to: '10.9.0.0/24', via: 'goddard' },
          { to: '10.200.5.0/24', via: 'goddard' },
          { to: '10.4.100.0/24', via: 'canberra' },
          { to: `${NAT.outside}/32`, via: 'madrid' },
        ],
        sysctl: { 'net.ipv4.conf.all.rp_filter': 1 },
      },
      goddard: {
        kind: 'control-centre',
        routes: [{ to: 'default', via: 'core' }],
        homeAgent: {
          address: '10.0.0.1',
          homeNetwork: '10.9.0.0/24',
          keepaliveSeconds: 1,
          mobileNodes: [{ homeAddress: HOME, security: [{ spi: 1000, key: KEY }], networks: ['10.200.5.0/24'] }],
          foreignAgents: ['10.1.0.2', '10.2.0.2', '10.3.0.2'].map((address) => ({ address, security: SHARED })),
        },
      },
      bench: { kind: 'host', routes: [{ to: 'default', via: 'goddard' }] },
      control: { kind: 'host', routes: [{ to: 'default', via: 'goddard' }] },
    },
    links: {
      'space-wallops': { between: ['wallops', 'spacecraft'], ...rates, contacts: contacts(0) },
      'space-canberra': { between: ['canberra', 'spacecraft'], ...rates, contacts: contacts(1) },
      'space-santiago': {
        between: ['santiago', 'spacecraft'],
        up: { ...rates.up, contacts: contacts(2) },
        down: { ...rates.down, contacts: 'never' },
      },
      'space-hartebeest': {
        between: ['hartebeest', 'spacecraft'],
        up: { ...rates.up, contacts: 'never' },
        down: { ...rates.down, contacts: contacts(2) },
      },
      'space-madrid': { between: ['madrid', 'spacecraft'], ...rates, contacts: contacts(3) },
    },
    networks: {
      internet: { nodes: ['goddard', 'core'], prefix: '10.0.0.0/24' },
      // Smaller than anything that a tunnel's ends know of: path MTU discovery has to work through it.
      'net-wallops': { nodes: ['core', 'wallops'], prefix: '10.1.0.0/24', mtu: 1300 },
      'net-santiago': { nodes: ['core', 'santiago'], prefix: '10.2.0.0/24' },
      'net-hartebeest': { nodes: ['core', 'hartebeest'], prefix: '10.3.0.0/24' },
      'net-canberra': { nodes: ['core', 'canberra'], prefix: '10.4.0.0/24' },
      'net-madrid': { nodes: ['core', 'madrid'], prefix: '10.5.0.0/24' },
      lan: {
        nodes: ['goddard', 'bench', 'spacecraft'],
        prefix: '10.9.0.0/24',
        addresses: { goddard: '10.9.0.1', bench: '10.9.0.20', spacecraft: HOME },
      },
      onboard: { nodes: ['spacecraft', 'instrument'], prefix: '10.200.5.0/24' },
      centre: { nodes: ['goddard', 'control'], prefix: '192.168.9.0/24' },
    },
  };
}
