/** Settings of the three agents, as a scenario writes them. One source for types, validation and documentation. */
import { z } from 'zod';
import { parseIpv4, parsePrefix } from '../ip/index.ts';

const address = z
  .string()
  .refine((text) => parseIpv4(text) !== undefined, 'expected an IPv4 address such as 10.9.0.5')
  .describe('An IPv4 address.');
const prefix = z
  .string()
  .refine(
    (text) => text.includes('/') && typeof parsePrefix(text)?.address === 'number',
    'expected a prefix such as 10.9.0.0/24',
  )
  .describe('An IPv4 prefix.');
const lifetime = z.int().min(1).max(65535);

export const securityAssociation = z
  .strictObject({
    spi: z.int().min(256).max(0xffffffff).describe('Security parameter index, 256 and up; names the key on the wire.'),
    key: z
      .string()
      .regex(/^([0-9a-fA-F]{2}){16,64}$/, 'a key is 32 to 128 hexadecimal digits')
      .describe('The shared key, 32 to 128 hexadecimal digits.'),
    algorithm: z
      .enum(['hmac-md5', 'hmac-sha-256'])
      .default('hmac-md5')
      .describe("Of the authenticator; 'hmac-md5' is RFC 5944's default."),
    replay: z
      .enum(['timestamp', 'nonce'])
      .default('timestamp')
      .describe('Replay protection between mobile node and home agent; nonces need no clock.'),
  })
  .describe('What two nodes share.');
export type SecurityAssociationSettings = z.infer<typeof securityAssociation>;

const permission = z.enum(['required', 'allowed', 'refused']);

const peerAgent = z
  .strictObject({ address: address.describe('The other agent.'), security: securityAssociation })
  .describe('A key shared with another agent; revocation needs it.');

export const homeAgentSettings = z
  .strictObject({
    address: address.optional().describe("The home agent's address. Default: the node's first on a network."),
    homeNetwork: prefix.describe('The virtual home network; home addresses lie in it.'),
    mobileNodes: z
      .array(
        z.strictObject({
          homeAddress: address,
          networkAccessIdentifier: z
            .string()
            .min(1)
            .max(255)
            .optional()
            .describe('Names the node when it has no home address yet.'),
          security: z.array(securityAssociation).min(1).describe('Keys by SPI; the first is used towards the node.'),
          networks: z.array(prefix).default([]).describe('Prefixes that move with the node (RFC 5177).'),
          implicitNetworks: z.boolean().default(false).describe('Serve these prefixes without being asked.'),
          enabled: z.boolean().default(true).describe('Whether the node may register.'),
        }),
      )
      .min(1)
      .describe('The mobile nodes that it serves.'),
    foreignAgents: z.array(peerAgent).default([]).describe('Foreign agents that share a key, by care-of address.'),
    maximumLifetimeSeconds: lifetime.default(1800).describe('The longest registration that it grants.'),
    simultaneousBindings: z.boolean().default(true).describe('Whether a node may have several at a time.'),
    maximumBindingsPerNode: z.int().min(1).max(64).default(4).describe('So many at most.'),
    reverseTunnel: permission.default('allowed').describe('What is thought of reverse tunnels.'),
    udpTunnel: z.enum(['allowed', 'refused']).default('allowed').describe('Tunnels in UDP through a NAT (RFC 3519).'),
    forcedUdpTunnel: z.boolean().default(false).describe('Whether a node may have one although no NAT was seen.'),
    keepaliveSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(110)
      .describe("How often a node behind a NAT keeps the NAT's mapping open."),
    careOfNetworks: z.array(prefix).default([]).describe('Care-of addresses that are served; default all.'),
    timestampToleranceSeconds: z.number().min(3).max(3600).default(7).describe('How far clocks may be apart.'),
    departureGraceSeconds: z
      .number()
      .min(0)
      .max(600)
      .default(30)
      .describe('How long a care-of address that was left is believed.'),
  })
  .describe('The home agent.');
export type HomeAgentSettings = z.infer<typeof homeAgentSettings>;

export const foreignAgentSettings = z
  .strictObject({
    careOfAddress: address.optional().describe("Default: the node's first address on a network."),
    advertisement: z
      .enum(['periodic', 'link-up', 'solicited'])
      .default('link-up')
      .describe('When it advertises: repeatedly, once when a contact begins, or only when asked.'),
    advertisementIntervalSeconds: z
      .number()
      .min(4)
      .max(1800)
      .default(600)
      .describe('The longest interval of periodic advertisements.'),
    advertisementLifetimeSeconds: z.int().min(4).max(9000).default(1800).describe('How long one is valid.'),
    maximumLifetimeSeconds: lifetime.default(1800).describe('The longest registration that it relays.'),
    maximumVisitors: z.int().min(1).max(4096).default(64).describe('More are told that it is busy.'),
    reverseTunnel: permission.default('allowed').describe('What is thought of reverse tunnels.'),
    encapsulatingDelivery: z.boolean().default(true).describe('Whether the encapsulating delivery style is offered.'),
    challenge: z.boolean().default(false).describe('Challenges in advertisements (RFC 4721).'),
    homeAgentNetworks: z.array(prefix).default([]).describe('Home agents that are served; default all.'),
    homeAgents: z.array(peerAgent).default([]).describe('Home agents that share a key.'),
    mobileNodes: z
      .array(z.strictObject({ homeAddress: address, security: securityAssociation }))
      .default([])
      .describe('Mobile nodes that share a key; they must use it.'),
    returnTo: z
      .string()
      .min(1)
      .optional()
      .describe('A station that only receives: the station that transmits to the spacecraft, whose visitor it is.'),
    holdOctets: z.int().min(0).max(16_777_216).default(262_144).describe('Held for a visitor that is out of view.'),
    holdSeconds: z.number().min(0).max(3600).default(60).describe('So long at most.'),
  })
  .describe('A foreign agent.');
export type ForeignAgentSettings = z.infer<typeof foreignAgentSettings>;

export const mobileNodeSettings = z
  .strictObject({
    homeAgent: address.describe("The home agent's address."),
    homeAddress: address.optional().describe("Default: the node's address on its space links."),
    security: securityAssociation,
    foreignAgents: z
      .array(peerAgent)
      .default([])
      .describe('Foreign agents that share a key, by their address on the link.'),
    lifetimeSeconds: lifetime.default(600).describe('The lifetime that it asks for.'),
    discovery: z
      .enum(['advertisement', 'solicit', 'link-up'])
      .default('link-up')
      .describe(
        'How an agent is found when a contact begins: wait, ask, or register at once with the one that the scenario has there.',
      ),
    handover: z
      .enum(['newest', 'stay'])
      .default('newest')
      .describe('Move to a station as soon as it is in view, or stay until the present one is lost.'),
    reverseTunnel: z.boolean().default(true).describe('Ask for reverse tunnels; ingress filters need them.'),
    delivery: z
      .enum(['direct', 'encapsulating'])
      .default('direct')
      .describe('How traffic reaches the foreign agent (RFC 3024).'),
    simultaneousBindings: z
      .boolean()
      .default(false)
      .describe('Keep the former binding while two stations are in view.'),
    networks: z.array(prefix).default([]).describe('Mobile networks to register (RFC 5177).'),
    careOfAddresses: z
      .record(z.string(), address)
      .default({})
      .describe('Addresses of its own at stations without a foreign agent, by station (co-located care-of addresses).'),
    udpTunnel: z
      .enum(['off', 'when-needed', 'forced'])
      .default('when-needed')
      .describe('With an address of its own: tunnel in UDP where a NAT is on the way (RFC 3519).'),
  })
  .describe('The mobile node.');
export type MobileNodeSettings = z.infer<typeof mobileNodeSettings>;
