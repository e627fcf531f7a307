/** Everything the audit log tells of, by name: what each event means, and which kind of thing it is (docs/audit.md lists them). */

export const AUDIT_CATEGORIES = [
  'issuance',
  'attestation',
  'access',
  'administration',
  'policy',
  'authority',
  'log',
] as const;

export type AuditCategory = (typeof AUDIT_CATEGORIES)[number];

const EVENTS = {
  x509_svid_issued: ['issuance', 'an agent had the X.509-SVID of an entry signed'],
  jwt_svid_issued: ['issuance', 'an agent had a JWT-SVID of an entry signed'],
  wit_svid_issued: ['issuance', 'an agent had a WIT-SVID of an entry signed'],
  x509_svid_minted: ['issuance', 'an operator minted an X.509-SVID'],
  jwt_svid_minted: ['issuance', 'an operator minted a JWT-SVID'],
  wit_svid_minted: ['issuance', 'an operator minted a WIT-SVID'],
  downstream_authority_issued: ['issuance', 'a downstream server had its X.509 authority signed'],

  agent_attested: ['attestation', 'a node attested, and its agent has an SVID'],
  attestation_refused: ['attestation', 'a node was turned away for the state that it is in'],
  agent_renewed: ['attestation', 'an agent renewed its SVID'],
  agent_status_posted: ['attestation', 'an agent told its version'],
  node_proven: ['attestation', 'an attested node proved itself once more'],
  agent_quarantined: ['attestation', 'an agent went into quarantine, or more was found about it there'],
  agent_released: ['attestation', 'an operator released an agent from quarantine'],

  call_denied: ['access', 'a caller was refused, at the gate or by the scope of its role'],
  calls_denied: ['access', 'more calls of one address were refused than are told of one by one'],

  entry_created: ['administration', 'a registration entry was created'],
  entry_updated: ['administration', 'a registration entry was updated'],
  entry_deleted: ['administration', 'a registration entry was deleted'],
  entry_pruned: ['administration', 'the server deleted an entry that had expired'],
  entries_applied: ['administration', 'a file of entries was applied'],
  join_token_created: ['administration', 'a join token was created; it is named by its SHA-256 hash'],
  agent_deleted: ['administration', 'an agent was evicted'],
  agent_banned: ['administration', 'an agent was banned'],
  agent_pruned: ['administration', 'the server evicted an agent that had expired'],
  proof_requested: ['administration', 'an operator asked a node to prove itself'],
  bundle_appended: ['administration', 'authorities were added to the trust bundle'],
  bundle_refreshed: ['administration', 'the bundle of a federated trust domain was fetched'],
  federated_bundle_created: ['administration', 'the bundle of another trust domain was created'],
  federated_bundle_updated: ['administration', 'the bundle of another trust domain was updated'],
  federated_bundle_set: ['administration', 'the bundle of another trust domain was set'],
  federated_bundle_deleted: ['administration', 'the bundle of another trust domain was deleted'],
  federation_relationship_created: ['administration', 'a federation relationship was created'],
  federation_relationship_updated: ['administration', 'a federation relationship was updated'],
  federation_relationship_deleted: ['administration', 'a federation relationship was deleted'],
  tpm_enrolled: ['administration', 'a TPM was enrolled'],
  tpm_removed: ['administration', 'an enrolled TPM was removed, and its agent banned'],
  tpm_replaced: ['administration', 'a TPM took the place of another'],
  tpm_rekeyed: ['administration', 'the attestation key of a TPM was forgotten'],
  log_level_changed: ['administration', 'the log level was set, or reset to that of the start'],
  snapshot_taken: ['administration', 'an operator had the server tell what it knows of itself'],
  cpu_profiled: ['administration', 'an operator had what the processor does recorded'],
  heap_written: ['administration', 'an operator had the heap, which holds private keys, written to a file'],
  configuration_reloaded: ['administration', 'the configuration was read again, and taken over or refused'],
  registry_restored: [
    'administration',
    'the server starts on a registry that was brought back from a backup',
  ],
  server_started: ['administration', 'the server serves'],
  server_stopping: ['administration', 'the server was asked to stop'],

  node_asked: ['policy', 'a new node asked to be let in'],
  node_approved: ['policy', 'an operator or the webhook approved a node'],
  node_denied: ['policy', 'an operator or the webhook denied a node'],
  node_approval_voided: ['policy', 'approvals were dropped, for another node asked under the name'],
  node_admitted: ['policy', 'a node that had enough approvals came in'],
  admission_webhook_asked: ['policy', 'the admission webhook was asked about a node'],

  authority_prepared: ['authority', 'a signing authority was prepared'],
  authority_activated: ['authority', 'a signing authority became the active one'],
  authority_tainted: ['authority', 'a signing authority was tainted'],
  authority_revoked: ['authority', 'a signing authority was revoked'],
  upstream_authority_tainted: ['authority', 'an upstream authority was tainted'],
  upstream_authority_revoked: ['authority', 'an upstream authority was revoked'],
  token_authority_published: ['authority', 'a downstream server published a key that signs tokens'],
  authority_pruned: ['authority', 'an authority that had expired was removed'],

  audit_log_opened: ['log', 'a file of the audit log, or the log itself, begins here'],
  audit_log_repaired: ['log', 'the torn end that a crash had left was cut off'],
  audit_log_behind: ['log', 'records that the server knows it wrote are missing'],
  audit_events_dropped: ['log', 'the audit log could not be written, and events were lost for want of room'],
  audit_checkpoint: ['log', 'a signature over everything up to here'],
} as const satisfies Record<string, readonly [AuditCategory, string]>;

export type AuditEventName = keyof typeof EVENTS;

/** In the order of the documentation. */
export const AUDIT_EVENT_NAMES = Object.keys(EVENTS) as readonly AuditEventName[];

export function isAuditEventName(text: string): text is AuditEventName {
  return Object.hasOwn(EVENTS, text);
}

export function categoryOf(event: AuditEventName): AuditCategory {
  return EVENTS[event][0];
}

export function meaningOf(event: AuditEventName): string {
  return EVENTS[event][1];
}
