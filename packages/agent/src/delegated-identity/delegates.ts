/** Who may ask in the name of others: callers that are attested on each call, and have one of the identities that the agent trusts. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { CallContext } from '@bonafide/shared/rpc/call-context';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Peer } from '../endpoints/peer.js';
import type { Authorization } from '../on-behalf/authorized-streams.js';
import type { WorkloadEntries, WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { loggedSelectors, type SelectorLogging } from '../workload-attestation/shown-selectors.js';

export interface DelegatesOptions {
  readonly identities: Pick<WorkloadIdentities, 'follow' | 'matching'>;
  readonly attest: WorkloadAttestation;
  readonly authorizedDelegates: ReadonlySet<SpiffeId>;
  /** Without values that may be secrets, unless told. */
  readonly selectorLogging?: (() => SelectorLogging) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface DelegateCall extends CallContext {
  readonly peer: Peer;
}

export class Delegates {
  readonly #options: DelegatesOptions;
  readonly #refusals: RefusalLog<'no_identity' | 'not_authorized'>;

  constructor(options: DelegatesOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options);
  }

  /** @throws BonafideError `permission_denied` for whoever is no authorized delegate; else as `WorkloadAttestation`. */
  async authorize({ peer, requestId, signal }: DelegateCall): Promise<Authorization> {
    const { attest, identities, selectorLogging } = this.#options;
    let selectors: readonly Selector[];
    try {
      selectors = await attest(peer.holdProcess(), { requestId, signal });
    } catch (error) {
      // Whoever holds the connection now is not who opened it.
      if (hasReason(error, 'unauthenticated')) peer.disconnect();
      throw error;
    }
    const refusal = this.#refusalOf(identities.matching(selectors));
    if (refusal !== undefined) {
      const shown = loggedSelectors(selectors, selectorLogging?.() ?? 'redacted');
      const fields = { request_id: requestId, ...peer.credentials, ...(shown && { selectors: shown }) };
      const kind = refusal.message === NO_IDENTITY ? 'no_identity' : 'not_authorized';
      this.#refusals.warn(kind, fields, `refused a delegate: ${refusal.message}`);
      throw refusal;
    }
    return {
      check: () => {
        if (!peer.isAlive()) throw new BonafideError('unauthenticated', 'the caller has exited');
        const revoked = this.#refusalOf(identities.matching(selectors));
        if (revoked !== undefined) throw revoked;
      },
      onEnd: (listener) =>
        identities.follow(selectors, (entries) => {
          const revoked = this.#refusalOf(entries);
          if (revoked !== undefined) listener(revoked);
        }),
    };
  }

  #refusalOf({ entries }: WorkloadEntries): BonafideError | undefined {
    if (entries.some(({ spiffeId }) => this.#options.authorizedDelegates.has(spiffeId))) return undefined;
    return new BonafideError('permission_denied', entries.length === 0 ? NO_IDENTITY : NOT_AUTHORIZED);
  }
}

const NO_IDENTITY = 'no identity issued';
const NOT_AUTHORIZED =
  'caller not configured as an authorized delegate; none of its SPIFFE IDs is in authorized_delegates';
