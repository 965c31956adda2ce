export { type AdvertisementMode, Advertiser } from './advertiser.ts';
export {
  type AgentAdvertisement,
  emitAgentAdvertisement,
  emitAgentSolicitation,
  hasRestarted,
  ICMP_ROUTER_ADVERTISEMENT,
  ICMP_ROUTER_SOLICITATION,
  isAgentSolicitation,
  nextSequence,
  parseAgentAdvertisement,
} from './agent-discovery.ts';
export { type Binding, BindingTable, contains, type NetworkPrefix } from './binding-table.ts';
export {
  emitIcmpDatagram,
  emitUdpDatagram,
  type IcmpMessage,
  parseIcmpDatagram,
  parseUdpDatagram,
  type UdpDatagram,
} from './datagram.ts';
export { combinedEcn, decapsulate, encapsulate, TUNNEL_HEADER_OCTETS } from './encapsulation.ts';
export { type Extension, type OtherExtension, ofKind, type PlacedExtension, writeExtension } from './extension.ts';
export { ForeignAgent } from './foreign-agent.ts';
export {
  describeForeignAgentEvent,
  type ForeignAgentEvent,
  type ForeignAgentInput,
  type ForeignAgentTransmit,
} from './foreign-agent-events.ts';
export { FOREIGN_AGENT_DEFAULTS, type ForeignAgentOptions } from './foreign-agent-policy.ts';
export { DEPARTURE_GRACE, ForeignAgentTunnel, HOLD_DEFAULTS } from './foreign-agent-tunnel.ts';
export { fragmentIpv4 } from './fragment.ts';
export { emitGratuitousArp } from './gratuitous-arp.ts';
export { HomeAgent, type StoredMobileNode } from './home-agent.ts';
export { describeHomeAgentEvent, type HomeAgentEvent } from './home-agent-events.ts';
export {
  HOME_AGENT_DEFAULTS,
  type HomeAgentOptions,
  type MobileNodeAccount,
  type Permission,
} from './home-agent-policy.ts';
export { HomeAgentTunnel } from './home-agent-tunnel.ts';
export {
  checkIdentification,
  high32,
  IdentificationSource,
  joined,
  low32,
  newReplayRecord,
  ntpTimestamp,
  type ReplayRecord,
} from './identification.ts';
export { MobileNode } from './mobile-node.ts';
export {
  describeMobileNodeEvent,
  type MobileNodeEvent,
  type MobileNodeInput,
  type MobileNodeTransmit,
  type Registration,
} from './mobile-node-events.ts';
export {
  MOBILE_NODE_DEFAULTS,
  type MobileNodeLink,
  type MobileNodeOptions,
  registrationTime,
} from './mobile-node-options.ts';
export { type Attachment, MobileNodeTunnel } from './mobile-node-tunnel.ts';
export * from './numbers.ts';
export {
  emitRegistrationReply,
  emitRegistrationRequest,
  parseRegistrationReply,
  parseRegistrationRequest,
  type RegistrationReply,
  type RegistrationRequest,
} from './registration.ts';
export {
  emitRevocation,
  emitRevocationAcknowledgement,
  parseRevocation,
  parseRevocationAcknowledgement,
} from './revocation.ts';
export {
  type AuthenticationAlgorithm,
  appendAuthentication,
  authenticate,
  equalInConstantTime,
  type Hmac,
  isAuthentic,
  type ReplayProtection,
  type SecurityAssociation,
  SecurityAssociations,
} from './security.ts';
export { TunnelState } from './tunnel-state.ts';
export { decapsulateFromUdp, encapsulateInUdp, keepaliveDatagram, UDP_TUNNEL_HEADER_OCTETS } from './udp-tunnel.ts';
export { type Visitor, VisitorList } from './visitor-list.ts';
