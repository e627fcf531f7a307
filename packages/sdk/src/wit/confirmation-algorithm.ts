/** With what the holder of a WIT-SVID signs its proofs: `cnf.jwk.alg`, nothing else (draft-ietf-wimse-workload-creds section 4.1). */
import type { JwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';

const algorithms = new WeakMap<WitSvid, JwsAlgorithm>();

/** @throws BonafideError `failed_precondition` when the SVID has expired: its key must not be used any more (draft-ietf-wimse-wpt-01 section 3.2). */
export function confirmationAlgorithmOf(svid: WitSvid, now: Date): JwsAlgorithm {
  if (!(now < svid.expiresAt)) {
    throw new BonafideError(
      'failed_precondition',
      `the WIT-SVID expired at ${svid.expiresAt.toISOString()}; is the Workload API reachable`,
    );
  }
  let algorithm = algorithms.get(svid);
  if (algorithm === undefined) {
    algorithm = parseWitSvid(svid.token).confirmationAlgorithm;
    algorithms.set(svid, algorithm);
  }
  return algorithm;
}
