/** Whether an SSH certificate makes its holder a host of ours (PROTOCOL.certkeys; ssh-keygen's "-h"), and which. */
import {
  checkSshCertificateSignature,
  type SshCertificate,
} from '@bonafide/shared/crypto/ssh/ssh-certificate';
import type { SshPublicKey } from '@bonafide/shared/crypto/ssh/ssh-public-key';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { unixSeconds } from '@bonafide/shared/runtime/clock';

interface HostCertificateRules {
  readonly authorities: readonly SshPublicKey[];
  /** What must follow the name of the host in its first principal; undefined: nothing need. */
  readonly canonicalDomain: string | undefined;
  readonly now: Date;
}

/**
 * @returns the name of the host: the first principal, without the domain.
 * @throws BonafideError `invalid_argument` with the first reason not to believe the certificate.
 */
export function checkHostCertificate(
  certificate: SshCertificate,
  { authorities, canonicalDomain, now }: HostCertificateRules,
): string {
  const { authority, kind, criticalOptions, validAfter, validBefore } = certificate;
  if (kind !== 'host') throw invalidArgument('the SSH certificate is of a user; expected one of a host');
  if (!authorities.some(({ blob }) => blob.equals(authority.blob)))
    throw invalidArgument('the SSH certificate is not signed by any of the configured authorities');
  // No critical option is defined for hosts; whatever is meant by one, we would not heed it.
  const [option] = criticalOptions.keys();
  if (option !== undefined) {
    throw invalidArgument(
      `the SSH certificate has the critical option ${JSON.stringify(option.slice(0, 64))}`,
    );
  }
  const seconds = BigInt(unixSeconds(now));
  if (seconds < validAfter) throw invalidArgument('the SSH certificate is not valid yet');
  if (seconds >= validBefore) throw invalidArgument('the SSH certificate has expired');
  checkSshCertificateSignature(certificate);
  return hostnameOf(certificate, canonicalDomain);
}

function hostnameOf({ validPrincipals }: SshCertificate, canonicalDomain: string | undefined): string {
  const [principal] = validPrincipals;
  if (principal === undefined)
    throw invalidArgument('the SSH certificate has no principal; expected the name of the host');
  if (canonicalDomain === undefined) return principal;
  const suffix = `.${canonicalDomain}`;
  if (!principal.endsWith(suffix) || principal.length === suffix.length)
    throw invalidArgument(
      `the first principal of the SSH certificate is not in the domain ${canonicalDomain}`,
    );
  return principal.slice(0, -suffix.length);
}
