/** The HTTP header fields of WIMSE (draft-ietf-wimse-workload-creds section 4.1.1, draft-ietf-wimse-wpt-01 section 2), in lower case. */

export const WIT_HEADER = 'workload-identity-token';
export const PROOF_HEADER = 'workload-proof-token';
export const TRANSACTION_TOKEN_HEADER = 'txn-token';
