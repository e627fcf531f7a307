/** What outsiders want in a bundle is looked at before it is stored: every agent and workload will have to read it. */
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { importSubjectPublicKeySync } from '@bonafide/shared/crypto/subject-public-key';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { BundleAdditions } from './merge-bundle.js';

/** @throws BonafideError `invalid_argument` naming the authority that is malformed or cannot be one. */
export function checkAuthorities(authorities: BundleAdditions): void {
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
