/** Where a certificate says that its issuer's certificate can be had (RFC 5280 section 4.2.2.1). A claim, not to be followed blindly. */
import { enterOnly } from './der/der-reader.js';
import { DER_TAG, contextTag } from './der/der-tag.js';
import { derObjectIdentifier } from './der/der-writer.js';
import { OID } from './der/object-identifier.js';
import type { X509Certificate } from './x509-certificate.js';

const CA_ISSUERS = derObjectIdentifier('1.3.6.1.5.5.7.48.2').subarray(2).toString('hex');
const URI_NAME = contextTag(6, false);
const SUBJECT = 'certificate';

/** @throws BonafideError `invalid_argument` when the extension is malformed. */
export function caIssuerUris(certificate: X509Certificate): readonly string[] {
  const extension = certificate.extensions.get(OID.authorityInformationAccess);
  if (extension === undefined) return [];
  const reader = enterOnly(extension.value, DER_TAG.sequence, SUBJECT);
  const uris: string[] = [];
  while (!reader.isAtEnd()) {
    const access = reader.enter(DER_TAG.sequence, 'authority information access');
    const method = access.readObjectIdentifier('access method');
    if (method === CA_ISSUERS && access.nextTag() === URI_NAME) uris.push(access.readAscii(URI_NAME, 'URI'));
    else access.readAny('access location');
    access.expectEnd('authority information access');
  }
  return uris;
}
