/** Which broker may use which kind of reference, and over which transport (SPIFFE Broker API section 4.1). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { BrokerConfig } from './broker-config.js';

export class BrokerPolicy {
  readonly #types: ReadonlyMap<SpiffeId, BrokerConfig['brokers'][number]['allowed_reference_types']>;

  constructor(brokers: BrokerConfig['brokers']) {
    this.#types = new Map(brokers.map((broker) => [broker.id, broker.allowed_reference_types]));
  }

  /** @throws BonafideError `permission_denied` for whoever is no broker. */
  checkBroker(spiffeId: SpiffeId): void {
    if (this.#types.has(spiffeId)) return;
    throw new BonafideError('permission_denied', `${spiffeId} is not one of the brokers of this agent`);
  }

  /** @throws BonafideError `permission_denied`. */
  checkReference(spiffeId: SpiffeId, typeUrl: string, isTcp: boolean): void {
    this.checkBroker(spiffeId);
    const allowed = (this.#types.get(spiffeId) ?? []).filter(
      ({ type_url: type }) => type === '*' || type === typeUrl,
    );
    if (allowed.length === 0) {
      throw new BonafideError(
        'permission_denied',
        `broker ${spiffeId} is not allowed to use reference type ${JSON.stringify(typeUrl)}`,
      );
    }
    if (isTcp && !allowed.some(({ allow_over_tcp: isAllowed }) => isAllowed)) {
      throw new BonafideError(
        'permission_denied',
        `reference type ${JSON.stringify(typeUrl)} is not allowed over TCP for broker ${spiffeId}`,
      );
    }
  }
}
