/** What the main thread and a signing thread say to each other. Keys travel as KeyObjects, of which both threads hold the same one; never as bytes. */
import type { KeyObject } from 'node:crypto';
import type { Reason } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface ThreadData {
  readonly trustDomain: TrustDomain;
}

export type ToThread =
  | {
      readonly kind: 'authority';
      /** Ours for this authority, never used twice. */
      readonly number: number;
      readonly key: KeyObject;
      /** DER. */
      readonly certificate: Uint8Array;
      readonly notAfter: Date;
    }
  /** Signs no more; the thread forgets its key. */
  | { readonly kind: 'retire'; readonly number: number }
  | {
      readonly kind: 'batch';
      readonly batch: number;
      readonly authority: number;
      readonly now: Date;
      /** See packed-requests.ts. */
      readonly requests: Uint8Array;
    };

/** Why one item of a batch was not signed; without a reason it is our own fault. */
export interface Refusal {
  readonly index: number;
  readonly reason: Reason | undefined;
  readonly message: string;
}

export type FromThread =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'batch';
      readonly batch: number;
      /** See packed-svids.ts; items that were refused are not in it. */
      readonly svids: Uint8Array;
      readonly refusals: readonly Refusal[];
    }
  | { readonly kind: 'unknown_authority'; readonly batch: number };
