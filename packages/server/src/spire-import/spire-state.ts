/** What was found at a SPIRE server, in our words, and what was found there that cannot be carried over. */
import type { FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { JoinToken } from '../store/join-token-record.js';
import type { AttestedNode } from '../store/node-record.js';
import type { CaJournal } from './ca-journal.js';

export const IMPORT_KINDS = [
  'bundles',
  'federation_relationships',
  'entries',
  'agents',
  'join_tokens',
  'authorities',
] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];

/** One thing that the operator has to know of. */
export interface Finding {
  readonly kind: ImportKind;
  /** The id of the entry, the SPIFFE ID of the agent and the like; undefined: the kind as a whole. */
  readonly name: string | undefined;
  readonly reason: string;
  readonly remedy: string;
}

export interface SpireState {
  /** For the report, without secrets. */
  readonly source: string;
  /** Undefined of a server that was asked by its API. */
  readonly schema: { readonly version: number; readonly codeVersion: string } | undefined;
  readonly trustDomain: TrustDomain;
  readonly bundle: TrustBundle;
  readonly federatedBundles: readonly TrustBundle[];
  readonly relationships: readonly FederationRelationship[];
  readonly entries: readonly RegistrationEntry[];
  readonly nodes: readonly AttestedNode[];
  readonly joinTokens: readonly JoinToken[];
  /** One for each SPIRE server on the database. */
  readonly journals: readonly CaJournal[];
  /** Left behind. */
  readonly notCarried: readonly Finding[];
}

/** Collects what a reader could not take. */
export class Findings {
  readonly #found: Finding[] = [];

  get all(): readonly Finding[] {
    return this.#found;
  }

  add(finding: Finding): void {
    this.#found.push(finding);
  }
}
