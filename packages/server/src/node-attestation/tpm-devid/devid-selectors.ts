/** What a DevID certificate says of its node, under SPIRE's names. */
import { createHash } from 'node:crypto';
import { readNameAttributes } from '@bonafide/shared/crypto/der/name-attributes';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';

const TYPE = 'tpm_devid';

/**
 * @param path the DevID first, the anchor last.
 * @throws BonafideError `invalid_argument` when a name is not in the encoding that it claims, or makes too long a selector.
 */
export function devIdSelectors(path: readonly X509Certificate[]): readonly Selector[] {
  const [devId, ...signers] = path;
  if (devId === undefined) throw new Error('a path has at least its leaf');
  const values = [
    ...named('subject', devId.subject),
    ...named('issuer', devId.issuer),
    ...new Set(signers.map((signer) => `ca:fingerprint:${fingerprint(signer)}`)),
  ];
  return values.map((value) => createSelector(TYPE, value));
}

/** A name for a certificate, and SPIRE's choice; nothing rests on its strength. */
export function fingerprint({ der }: X509Certificate): string {
  return createHash('sha1').update(der).digest('hex');
}

/** Of several common names, Go's x509 package has the last. */
function named(what: 'subject' | 'issuer', name: Buffer): readonly string[] {
  const commonName = readNameAttributes(name).get(OID.commonName)?.at(-1) ?? '';
  return commonName === '' ? [] : [`${what}:cn:${commonName}`];
}
