/** What outsiders want in a bundle is looked at before it is stored: every agent and workload will have to read it. */
import { parseX509Certificate } from '../crypto/x509-certificate.js';
import { importSubjectPublicKeySync } from '../crypto/subject-public-key.js';
import { spkiToJwk } from '../crypto/json-web-key.js';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import type { TrustBundle } from './trust-bundle.js';

type Authorities = Partial<Pick<TrustBundle, 'x509Authorities' | 'jwtAuthorities' | 'witAuthorities'>>;

/** @throws BonafideError `invalid_argument` naming the authority that is malformed or cannot be one. */
export function checkAuthorities(authorities: Authorities): void {
  authorities.x509Authorities?.forEach(({ certificate }, index) => {
    inItem(`X.509 authority ${index}`, () => {
      const { isCa, subjectPublicKey } = parseX509Certificate(certificate);
      if (!isCa) throw invalidArgument('is not a signing certificate');
      importSubjectPublicKeySync(subjectPublicKey);
    });
  });
  authorities.jwtAuthorities?.forEach(({ publicKey }, index) => {
    inItem(`JWT authority ${index}`, () => spkiToJwk(publicKey));
  });
  authorities.witAuthorities?.forEach(({ publicKey }, index) => {
    inItem(`WIT authority ${index}`, () => spkiToJwk(publicKey));
  });
}

function inItem(name: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw invalidArgument(`${name}: ${errorMessage(error)}`, error);
  }
}
