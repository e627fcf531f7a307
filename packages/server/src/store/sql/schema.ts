/** The tables as the query builder sees them: text, whole numbers and nothing that SQLite and PostgreSQL spell differently. */
import type { Kysely, Transaction } from 'kysely';

/** 0 or 1, because SQLite has no boolean. */
export type Flag = 0 | 1;

export interface Schema {
  readonly log_head: LogHeadRow;
  readonly changes: ChangeRow;
  readonly entries: EntryRow;
  readonly entry_selectors: { readonly entry_id: string; readonly selector: string };
  readonly entry_federation: { readonly entry_id: string; readonly trust_domain: string };
  readonly nodes: NodeRow;
  readonly node_proofs: NodeProofRow;
  readonly node_selectors: { readonly agent_id: string; readonly selector: string };
  readonly bundles: BundleRow;
  readonly join_tokens: JoinTokenRow;
  readonly authorities: AuthorityRow;
  readonly federation_relationships: FederationRelationshipRow;
  readonly revoked_authorities: { readonly authority_id: string; readonly expires_at: number | null };
  readonly delivery_questions: DeliveryQuestionRow;
  readonly delivery_answers: DeliveryAnswerRow;
  readonly tpm_enrollments: TpmEnrollmentRow;
  readonly node_admissions: NodeAdmissionRow;
  readonly selector_sightings: {
    readonly selector: string;
    readonly agent_id: string;
    readonly seen_at: number;
  };
  readonly audit_events: {
    readonly server_id: string;
    readonly seq: number;
    readonly at: number;
    readonly event: string;
    readonly result: string;
    readonly line: string;
  };
}

/** One row: taking the next revision locks it, which makes revision order equal commit order. */
interface LogHeadRow {
  readonly id: number;
  readonly log_id: string;
  readonly revision: number;
}

interface ChangeRow {
  readonly revision: number;
  /** Null of an earlier release. */
  readonly nonce: string | null;
  /** JSON array of changes. */
  readonly changes: string;
}

/** Times are milliseconds since the epoch. */
export interface EntryRow {
  readonly id: string;
  readonly spiffe_id: string;
  readonly parent_id: string;
  /** JSON array of `type:value`, normalized: equal texts are equal sets. */
  readonly selectors: string;
  readonly selector_count: number;
  readonly x509_svid_ttl_seconds: number | null;
  readonly jwt_svid_ttl_seconds: number | null;
  /** JSON array of trust domains, sorted. */
  readonly federates_with: string;
  readonly federation_count: number;
  readonly is_admin: Flag;
  readonly is_downstream: Flag;
  readonly expires_at: number | null;
  /** JSON array, in the operator's order. */
  readonly dns_names: string;
  readonly stores_svid: Flag;
  readonly hint: string | null;
  readonly disables_x509_svid_prefetch: Flag;
  readonly includes_jwt_svid_jti: Flag;
  readonly revision_number: number;
  readonly created_at: number;
}

export interface NodeRow {
  readonly agent_id: string;
  readonly attestation_type: string;
  readonly serial_number: string | null;
  readonly expires_at: number;
  readonly next_serial_number: string | null;
  readonly next_expires_at: number | null;
  readonly selectors: string;
  readonly selector_count: number;
  readonly is_banned: Flag;
  readonly can_reattest: Flag;
  readonly agent_version: string | null;
  /** JSON of a quarantine. */
  readonly quarantine: string | null;
}

export interface NodeProofRow {
  readonly agent_id: string;
  readonly proven_at: number | null;
  readonly requested_at: number | null;
  readonly record: string | null;
}

export interface BundleRow {
  readonly trust_domain: string;
  /** JSON; see bundles.ts. */
  readonly content: string;
}

interface JoinTokenRow {
  /** Lower-case hex of the token's SHA-256. */
  readonly token_hash: string;
  readonly expires_at: number;
  readonly alias_id: string | null;
}

export interface AuthorityRow {
  readonly authority_id: string;
  /** Empty: of the one server that a database had in an earlier release. */
  readonly server_id: string;
  readonly kind: string;
  readonly slot: string;
  readonly key_id: string;
  /** JSON array of base64 DER; empty for a token authority. */
  readonly certificate_chain: string;
  readonly upstream_authority_id: string | null;
  /** Base64 SPKI of a token authority. */
  readonly public_key: string | null;
  readonly not_before: number;
  readonly not_after: number;
  readonly is_tainted: Flag;
}

export interface FederationRelationshipRow {
  readonly trust_domain: string;
  readonly bundle_endpoint_url: string;
  readonly bundle_endpoint_profile: string;
  /** Of `https_spiffe` only. */
  readonly endpoint_spiffe_id: string | null;
}

/** Times by the clock of the database. */
interface DeliveryQuestionRow {
  readonly id: string;
  readonly revision: number;
  readonly asked_by: string;
  readonly expires_at: number;
}

interface DeliveryAnswerRow {
  readonly id: string;
  readonly question_id: string;
  readonly server_id: string;
  readonly body: string;
  /** Microseconds: the order of one server's answers. */
  readonly written_at: number;
}

export interface TpmEnrollmentRow {
  readonly ek_hash: string;
  readonly note: string;
  readonly enrolled_at: number;
}

export interface NodeAdmissionRow {
  readonly agent_id: string;
  readonly attestation_type: string;
  readonly selectors: string;
  readonly address: string;
  readonly first_asked_at: number;
  readonly last_asked_at: number;
  readonly expires_at: number;
  /** JSON array of decisions. */
  readonly decisions: string;
}

/** A connection outside of a transaction, or the transaction. */
export type Queries = Kysely<Schema> | Transaction<Schema>;
