/** A database is of one trust domain for ever: its authorities have the name in their certificates. */
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Store } from './store.js';

/** @throws BonafideError `failed_precondition` naming both; nothing was written. */
export async function refuseOtherTrustDomain(store: Store, trustDomain: TrustDomain): Promise<void> {
  const own = `spiffe://${trustDomain}`;
  for (const record of await store.authorities.list()) {
    if (record.kind !== 'x509') continue;
    const [certificate] = record.certificateChain;
    const [name] = certificate === undefined ? [] : parseX509Certificate(certificate).uriNames;
    if (name === undefined || name === own) continue;
    throw new BonafideError(
      'failed_precondition',
      `the database is of the trust domain ${name.replace('spiffe://', '')}, and trust_domain says ${trustDomain}; name that one, or give this server a database of its own`,
    );
  }
}
