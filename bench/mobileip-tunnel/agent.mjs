// One end of the tunnel, as the services run it: the real device (TUN, raw socket of protocol 4) and the real data path, with one
// binding that lasts. Run inside its namespace by run.mjs: `node agent.mjs home|foreign DIST`. Prints `ready`.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [role, dist] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { MobileIpDevice } = await load('io/mobileip-device.js');
const { loadNative } = await load('io/native.js');
const { BindingTable, ForeignAgentTunnel, HOLD_DEFAULTS, HomeAgentTunnel, TunnelState, VisitorList } =
  await load('mobileip/index.js');

const HOME = 0x0a090005; // 10.9.0.5
const HOME_AGENT = 0x0a000001; // 10.0.0.1
const CARE_OF = 0x0a000002; // 10.0.0.2
const native = await loadNative();
const never = Number.POSITIVE_INFINITY;
const ip = (...words) => execFileSync('ip', words);
const send = (packet) => device.send(packet);
let receive;
const device = new MobileIpDevice({
  native,
  sources: ['tunnel'],
  receive: (packet, from, now) => receive(packet, from, now),
});
if (role === 'home') {
  const bindings = new BindingTable();
  bindings.put({
    homeAddress: HOME,
    careOfAddress: CARE_OF,
    homeAgent: HOME_AGENT,
    requestSource: CARE_OF,
    requestPort: 434,
    identification: 0n,
    lifetime: 0xffff,
    registeredAt: 0,
    expiresAt: never,
    coLocated: false,
    reverseTunnel: true,
    broadcasts: false,
    networks: [],
  });
  const options = { address: HOME_AGENT, pool: device.pool, state: new TunnelState(1500), bindings, send };
  const tunnel = new HomeAgentTunnel({ ...options, carriesOwnDatagrams: true });
  receive = (packet, from, now) => (from === 'device' ? tunnel.intercept(packet, now) : tunnel.receive(packet, now));
} else {
  const visitors = new VisitorList();
  visitors.put({
    homeAddress: HOME,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    link: 'space',
    lifetime: 0xffff,
    registeredAt: 0,
    expiresAt: never,
    reverseTunnel: true,
    delivery: 'direct',
    udpTunnel: false,
  });
  const options = { address: CARE_OF, pool: device.pool, state: new TunnelState(1500), visitors, send };
  const tunnel = new ForeignAgentTunnel({ ...options, ...HOLD_DEFAULTS, returnStations: [], deliver: send });
  receive = (packet, from, now) => (from === 'device' ? tunnel.fromLink(packet, now) : tunnel.receive(packet, now));
}
ip('link', 'set', 'mip0', 'mtu', '1480', 'up');
if (role === 'home') ip('route', 'replace', '10.9.0.0/24', 'dev', 'mip0');
else {
  ip('route', 'replace', 'default', 'dev', 'mip0', 'table', '434');
  ip('rule', 'add', 'iif', 'space', 'from', '10.9.0.5', 'lookup', '434', 'priority', '434');
}
process.stdout.write('ready\n');
process.on('SIGTERM', () => {
  process.stderr.write(
    `${role} ${JSON.stringify({ read: device.packetsRead, written: device.packetsWritten, errors: device.writeErrors })}\n`,
  );
  process.exit(0);
});
