/** A trust bundle as SPIRE keeps it: the protobuf message `spire.common.Bundle` in a blob. */
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { ProtobufFields } from './protobuf-fields.js';
import { timeOfSeconds } from './spire-values.js';

const BUNDLE = {
  trustDomainId: 1,
  rootCas: 2,
  jwtSigningKeys: 3,
  refreshHint: 4,
  sequenceNumber: 5,
  witSigningKeys: 6,
} as const;
const CERTIFICATE = { der: 1, isTainted: 2 } as const;
const PUBLIC_KEY = { pkix: 1, kid: 2, notAfter: 3, isTainted: 4 } as const;
const MOST_AUTHORITIES = 1000;

/** @throws BonafideError `invalid_argument` when it is malformed, is another's, or an authority in it cannot be one. */
export function parseStoredBundle(data: Buffer, trustDomain: TrustDomain): TrustBundle {
  const fields = new ProtobufFields(data, 'bundle');
  const named = parseTrustDomainOrId(fields.text(BUNDLE.trustDomainId));
  if (named !== trustDomain)
    throw invalidArgument(`bundle is of trust domain ${named}, stored as that of ${trustDomain}`);
  const roots = fields.messages(BUNDLE.rootCas, 'X.509 authority');
  const refreshHint = fields.count(BUNDLE.refreshHint);
  const bundle: TrustBundle = {
    trustDomain,
    x509Authorities: roots.flatMap((root) =>
      splitCertificates(root.bytes(CERTIFICATE.der)).map((certificate) => ({
        certificate,
        isTainted: root.flag(CERTIFICATE.isTainted),
      })),
    ),
    jwtAuthorities: keysOf(fields, BUNDLE.jwtSigningKeys),
    witAuthorities: keysOf(fields, BUNDLE.witSigningKeys),
    refreshHintSeconds: refreshHint === 0 ? undefined : refreshHint,
    sequenceNumber: fields.count(BUNDLE.sequenceNumber),
  };
  for (const list of [bundle.x509Authorities, bundle.jwtAuthorities, bundle.witAuthorities]) {
    if (list.length > MOST_AUTHORITIES) {
      throw invalidArgument(
        `bundle has ${list.length} authorities of one kind; at most ${MOST_AUTHORITIES} are taken`,
      );
    }
  }
  checkAuthorities(bundle);
  return bundle;
}

function keysOf(fields: ProtobufFields, number: number): readonly TokenAuthority[] {
  return fields.messages(number, 'signing key').map((key) => {
    const keyId = key.text(PUBLIC_KEY.kid);
    if (keyId === '') throw invalidArgument('bundle has a signing key without a key id');
    const notAfter = key.count(PUBLIC_KEY.notAfter);
    return {
      publicKey: key.bytes(PUBLIC_KEY.pkix),
      keyId,
      expiresAt: notAfter === 0 ? undefined : timeOfSeconds(notAfter, 'not_after'),
      isTainted: key.flag(PUBLIC_KEY.isTainted),
    };
  });
}

/** Old releases put several certificates, one after the other, into one field. */
function splitCertificates(der: Buffer): readonly Buffer[] {
  const certificates: Buffer[] = [];
  for (let rest = der; rest.length > 0;) {
    const length = elementLength(rest);
    certificates.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  if (certificates.length === 0) throw invalidArgument('bundle has an X.509 authority without a certificate');
  return certificates;
}

/** Of a DER SEQUENCE of up to 64 KiB; whatever it is, the parser of certificates looks at it afterwards. */
function elementLength(der: Buffer): number {
  const [tag = 0, first = 0, second = 0, third = 0] = der;
  const header = first < 0x80 ? 2 : first === 0x81 ? 3 : first === 0x82 ? 4 : 0;
  const content = header === 2 ? first : header === 3 ? second : second * 256 + third;
  if (tag !== 0x30 || header === 0 || header + content > der.length) {
    throw invalidArgument('bundle has an X.509 authority that is not DER');
  }
  return header + content;
}
