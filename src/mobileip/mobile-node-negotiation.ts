/** What a mobile node asks for, and how denials change it: RFC 5944 section 3.6.2.3, RFC 3024 section 4.1, RFC 5177 section 5.1, RFC 4721. */
import type { Instant } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { ofKind } from './extension.ts';
import type { IdentificationSource } from './identification.ts';
import type { MobileNodeOptions } from './mobile-node-options.ts';
import { INFINITE_LIFETIME, REPLY_CODE } from './numbers.ts';
import type { RegistrationReply } from './registration.ts';

export class Negotiation {
  /** 0 until the home agent has given one (RFC 2794). */
  homeAddress: Ipv4Address;
  homeAgent: Ipv4Address;
  offersNetworks: boolean;
  reverseTunnel: boolean;
  delivery: 'direct' | 'encapsulating';
  simultaneousBindings: boolean;
  lifetimeLimit = INFINITE_LIFETIME;
  /** Of a foreign agent, the latest. */
  challenge: Uint8Array | undefined;

  constructor(options: MobileNodeOptions) {
    this.homeAddress = options.homeAddress;
    this.homeAgent = options.homeAgent;
    this.offersNetworks = options.networks.length > 0;
    this.reverseTunnel = options.reverseTunnel;
    this.delivery = options.delivery;
    this.simultaneousBindings = options.simultaneousBindings;
  }

  /** Whether the next request will differ in a way that helps. @param lifetime what was asked for */
  repair(reply: RegistrationReply, lifetime: number, identification: IdentificationSource, now: Instant): boolean {
    switch (reply.code) {
      case REPLY_CODE.lifetimeTooLong:
        if (reply.lifetime === 0 || reply.lifetime >= lifetime) return false;
        this.lifetimeLimit = reply.lifetime;
        return true;
      case REPLY_CODE.identificationMismatch:
        identification.resynchronize(reply.identification, now);
        return true;
      case REPLY_CODE.unknownHomeAgent:
        if (reply.homeAgent === this.homeAgent || reply.homeAgent === 0) return false;
        this.homeAgent = reply.homeAgent;
        return true;
      case REPLY_CODE.foreignReverseTunnelMandatory:
      case REPLY_CODE.homeReverseTunnelMandatory:
        if (this.reverseTunnel) return false;
        this.reverseTunnel = true;
        return true;
      case REPLY_CODE.deliveryStyleNotSupported:
        if (this.delivery === 'direct') return false;
        this.delivery = 'direct';
        return true;
      case REPLY_CODE.tooManyBindings:
        if (!this.simultaneousBindings) return false;
        this.simultaneousBindings = false;
        return true;
      case REPLY_CODE.mobileNetworkDisallowed:
      case REPLY_CODE.mobileNetworkError:
        // RFC 5177 section 5.1: these prefixes must not be asked for again.
        if (!this.offersNetworks) return false;
        this.offersNetworks = false;
        return true;
      case REPLY_CODE.missingChallenge:
      case REPLY_CODE.unknownChallenge:
      case REPLY_CODE.staleChallenge:
        return ofKind(reply.extensions, 'challenge').length > 0;
      default:
        return false;
    }
  }
}
