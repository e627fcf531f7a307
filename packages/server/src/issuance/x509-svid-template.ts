/** The DER of an X.509-SVID (X509-SVID sections 2 to 4) with everything that one authority's SVIDs share written once. */
import { hash } from 'node:crypto';
import { derElement, derSequence, derTime, derUnsignedInteger } from '@bonafide/shared/crypto/der/der-writer';
import { contextTag } from '@bonafide/shared/crypto/der/der-tag';
import { encodeNameAttribute } from '@bonafide/shared/crypto/der/distinguished-name';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { VERSION_3 } from '@bonafide/shared/crypto/sign-certificate';
import { signatureAlgorithmFor, type SignatureAlgorithm } from '@bonafide/shared/crypto/signature-algorithm';
import { subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
} from '@bonafide/shared/crypto/der/x509-extension';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509SigningAuthority } from '../authority/x509-signing-authority.js';

/** What a template needs of an authority, on whichever thread. */
export type TemplateAuthority = Pick<X509SigningAuthority, 'certificate' | 'signer' | 'notAfter'>;

export interface X509SvidContent {
  readonly serialNumber: Buffer;
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Of the key that is certified: the SPKI, DER, and the content of its BIT STRING. */
  readonly spki: Buffer;
  readonly keyBits: Buffer;
}

const COUNTRY = encodeNameAttribute(OID.country, 'US');
const ORGANIZATION = encodeNameAttribute(OID.organization, 'SPIRE');
const FIXED_EXTENSIONS = [
  encodeKeyUsages(['digitalSignature']),
  encodeExtendedKeyUsages([OID.serverAuth, OID.clientAuth]),
  encodeBasicConstraints({ isCa: false, pathLength: undefined }),
];
/** ub-common-name of RFC 5280 appendix A.1; a longer DNS name is in the subject alternative names only. */
const MAX_COMMON_NAME_LENGTH = 64;

export class X509SvidTemplate {
  readonly algorithm: SignatureAlgorithm;
  /** Name, DER. */
  readonly issuer: Buffer;
  /** Lower-case hex. */
  readonly authorityKeyId: string;
  /** The end of everything above an SVID: of the certificate, and of those that lead from it to the trust anchor. */
  readonly notAfter: Date;
  readonly #fixedExtensions: readonly Buffer[];
  /** SVIDs of one time to live that are made within one second share their validity. */
  #validity: { readonly notBefore: number; readonly notAfter: number; readonly der: Buffer } | undefined;

  /** @throws BonafideError `internal` when the authority's certificate and key do not belong together. */
  constructor(authority: TemplateAuthority) {
    const certificate = parseX509Certificate(authority.certificate);
    if (!certificate.isCa || certificate.keyUsages?.has('keyCertSign') !== true) {
      throw new BonafideError(
        'internal',
        'the certificate of the signing authority is not one that may sign',
      );
    }
    if (!certificate.subjectPublicKey.spki.equals(exportSpki(authority.signer.publicKey))) {
      throw new BonafideError('internal', 'the certificate of the signing authority is for another key');
    }
    if (certificate.subjectKeyId === undefined) {
      throw new BonafideError(
        'internal',
        'the certificate of the signing authority has no subject key identifier',
      );
    }
    this.algorithm = signatureAlgorithmFor(authority.signer.keyType);
    this.issuer = certificate.subject;
    this.authorityKeyId = certificate.subjectKeyId;
    this.notAfter = authority.notAfter < certificate.notAfter ? authority.notAfter : certificate.notAfter;
    const authorityKeyId = encodeAuthorityKeyIdentifier(Buffer.from(certificate.subjectKeyId, 'hex'));
    this.#fixedExtensions = [...FIXED_EXTENSIONS, authorityKeyId];
  }

  /** @returns the TBSCertificate. */
  encode(content: X509SvidContent): Buffer {
    const names = { uriNames: [content.spiffeId], dnsNames: content.dnsNames };
    return derSequence(
      VERSION_3,
      derUnsignedInteger(content.serialNumber),
      this.algorithm.identifier,
      this.issuer,
      this.#encodeValidity(content),
      encodeSubject(content),
      content.spki,
      derElement(
        contextTag(3),
        derSequence(
          ...this.#fixedExtensions,
          encodeSubjectKeyIdentifier(subjectKeyIdentifier(content.keyBits)),
          encodeSubjectAlternativeNameExtension(names, false),
        ),
      ),
    );
  }

  #encodeValidity({ notBefore, notAfter }: X509SvidContent): Buffer {
    const [begin, end] = [notBefore.getTime(), notAfter.getTime()];
    if (this.#validity?.notBefore !== begin || this.#validity.notAfter !== end) {
      this.#validity = {
        notBefore: begin,
        notAfter: end,
        der: derSequence(derTime(notBefore), derTime(notAfter)),
      };
    }
    return this.#validity.der;
  }
}

/** SPIRE's subject: equal for equal SPIFFE IDs and DNS names, different for different SPIFFE IDs. */
function encodeSubject({ spiffeId, dnsNames }: X509SvidContent): Buffer {
  const [commonName] = dnsNames;
  const uniqueIdentifier = encodeNameAttribute(OID.uniqueIdentifier, uniqueIdentifierOf(spiffeId));
  return commonName === undefined || commonName.length > MAX_COMMON_NAME_LENGTH
    ? derSequence(COUNTRY, ORGANIZATION, uniqueIdentifier)
    : derSequence(COUNTRY, ORGANIZATION, encodeNameAttribute(OID.commonName, commonName), uniqueIdentifier);
}

function uniqueIdentifierOf(spiffeId: SpiffeId): string {
  return hash('sha256', spiffeId, 'hex').slice(0, 32);
}
