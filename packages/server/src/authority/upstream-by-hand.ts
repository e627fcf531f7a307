/** What an operator may do with the authorities above us: taint and revoke the trust anchors that our old authorities stand under. */
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509AuthorityRecord } from '../store/authority-record.js';
import type { WriteTransaction } from '../store/store.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import { revokeX509Authority, taintX509Authority } from '../trust-bundle/withdraw-authority.js';
import type { AuthoritySlots } from './authority-slots.js';
import type { RotationLoop } from './rotation-loop.js';

export interface UpstreamByHandOptions {
  readonly trustDomain: TrustDomain;
  readonly log: Logger;
  readonly slots: AuthoritySlots<X509AuthorityRecord>;
  readonly loop: RotationLoop<X509AuthorityRecord>;
  readonly hasUpstream: boolean;
  /** Called after one was tainted or revoked. */
  readonly onWithdrawal: () => void;
}

export interface WithdrawnAnchor {
  /** Hex, in lower case. */
  readonly subjectKeyId: string;
  readonly revision: number;
}

export class UpstreamByHand {
  readonly #options: UpstreamByHandOptions;

  constructor(options: UpstreamByHandOptions) {
    this.#options = options;
  }

  /**
   * @param subjectKeyId hex, in either case.
   * @throws BonafideError `failed_precondition` without an upstream authority, `invalid_argument` unless old authorities and no others
   * stand under it.
   */
  taint(subjectKeyId: string): Promise<WithdrawnAnchor> {
    const { slots } = this.#options;
    return this.#withdraw(subjectKeyId, {
      refused: 'provided subject key id is not valid',
      failed: 'failed to taint upstream authority',
      done: 'X.509 upstream authority tainted successfully',
      edit: taintX509Authority,
      also: (transaction, anchor) => taintUnder(transaction, slots, new Set([anchor])),
    });
  }

  /** As `taint`, which must come first. Whatever the upstream authority says, it is not published again. */
  revoke(subjectKeyId: string): Promise<WithdrawnAnchor> {
    return this.#withdraw(subjectKeyId, {
      refused: 'invalid subject key ID',
      failed: 'failed to revoke X.509 upstream authority',
      done: 'X.509 upstream authority successfully revoked',
      edit: revokeX509Authority,
      // For ever: the authority above may certify the same key anew.
      also: (transaction, anchor) => transaction.authorities.addRevoked(anchor, undefined),
    });
  }

  async #withdraw(
    subjectKeyId: string,
    withdrawal: {
      readonly refused: string;
      readonly failed: string;
      readonly done: string;
      readonly edit: (bundle: TrustBundle, subjectKeyId: string) => TrustBundle;
      readonly also: (transaction: WriteTransaction, subjectKeyId: string) => Promise<void>;
    },
  ): Promise<WithdrawnAnchor> {
    const { trustDomain, slots, loop, log, hasUpstream, onWithdrawal } = this.#options;
    if (!hasUpstream) {
      throw new BonafideError('failed_precondition', 'upstream authority is not configured');
    }
    const anchor = subjectKeyId.toLowerCase();
    const revision = await loop.take(async () => {
      const refusal = refusalOf(anchor, slots);
      if (refusal !== undefined) throw invalidArgument(`${withdrawal.refused}: ${refusal}`);
      try {
        return await slots.write(async (transaction) => {
          await editOwnBundle(transaction, trustDomain, (bundle) => withdrawal.edit(bundle, anchor));
          await withdrawal.also(transaction, anchor);
        });
      } catch (error) {
        if (!(error instanceof BonafideError)) throw error;
        throw new BonafideError(error.reason, `${withdrawal.failed}: ${errorMessage(error)}`, {
          cause: error,
        });
      }
    });
    log.warn({ subject_key_id: anchor }, withdrawal.done);
    onWithdrawal();
    return { subjectKeyId: anchor, revision };
  }
}

/** Those of our authorities that stand under one of these trust anchors: whatever they signed is to be replaced. */
export async function taintUnder(
  transaction: WriteTransaction,
  slots: AuthoritySlots<X509AuthorityRecord>,
  anchors: ReadonlySet<string>,
): Promise<void> {
  for (const slot of ['active', 'prepared', 'old'] as const) {
    for (const record of slots.in(slot)) {
      const { upstreamAuthorityId = '', isTainted } = record;
      if (!isTainted && anchors.has(upstreamAuthorityId)) {
        await transaction.authorities.put({ ...record, isTainted: true });
      }
    }
  }
}

function refusalOf(anchor: string, slots: AuthoritySlots<X509AuthorityRecord>): string | undefined {
  const isAbove = (slot: X509AuthorityRecord['slot']): boolean =>
    slots.in(slot).some(({ upstreamAuthorityId }) => upstreamAuthorityId === anchor);
  if (anchor === '') return 'no subject key ID provided';
  if (isAbove('active')) return 'unable to use upstream authority signing current authority';
  if (isAbove('prepared')) return 'only upstream authorities signing an old authority can be used';
  return isAbove('old') ? undefined : "upstream authority didn't sign the old local authority";
}
