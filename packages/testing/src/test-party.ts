/** Parties of a PKI that is not a trust domain's, for tests: certificates of every kind, right or wrong on purpose. */
import type { KeyObject } from 'node:crypto';
import {
  encodeDistinguishedName,
  type DistinguishedName,
} from '@bonafide/shared/crypto/der/distinguished-name';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
  type KeyUsage,
} from '@bonafide/shared/crypto/der/x509-extension';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { generateSerialNumber, signCertificate } from '@bonafide/shared/crypto/sign-certificate';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { parseSubjectPublicKey, subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import { systemClock } from '@bonafide/shared/runtime/clock';

const HOUR_MS = 3_600_000;

export interface TestParty {
  /** DER. */
  readonly subject: Buffer;
  readonly privateKey: KeyObject;
  /** DER. */
  readonly certificate: Buffer;
}

export interface TestPartyWish {
  readonly name: string | DistinguishedName;
  /** Undefined: it signs itself. */
  readonly issuer?: TestParty | undefined;
  readonly isCa?: boolean;
  readonly pathLength?: number;
  /** What its kind has, unless told. */
  readonly keyUsages?: readonly KeyUsage[];
  /** As in `OID`. */
  readonly extendedKeyUsages?: readonly string[];
  readonly uriNames?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Within an hour of the real time, unless told. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serialNumber?: Buffer;
  /** Extensions, DER. */
  readonly more?: readonly Buffer[];
  /** A new P-256 key, unless told. */
  readonly privateKey?: KeyObject;
  readonly keyType?: KeyType;
  /** In place of the one of its key. */
  readonly spki?: Buffer;
  readonly withoutKeyIds?: boolean;
}

/** @example const node = await createTestParty({ name: 'node 7', issuer: await createTestParty({ name: 'root', isCa: true }) }); */
export async function createTestParty(wish: TestPartyWish): Promise<TestParty> {
  const { name, issuer, isCa = false, pathLength, more = [], uriNames = [], dnsNames = [] } = wish;
  const now = systemClock.now().getTime();
  const privateKey = wish.privateKey ?? (await generatePrivateKey(wish.keyType ?? 'ec-p256'));
  const { keyUsages = isCa ? (['keyCertSign'] as const) : (['digitalSignature'] as const) } = wish;
  const { extendedKeyUsages = [] } = wish;
  const signingKey = issuer?.privateKey ?? privateKey;
  const subject = encodeDistinguishedName(typeof name === 'string' ? { commonName: name } : name);
  const certificate = await signCertificate(
    {
      serialNumber: wish.serialNumber ?? generateSerialNumber(),
      issuer: issuer?.subject ?? subject,
      subject,
      spki: wish.spki ?? exportSpki(privateKey),
      notBefore: wish.notBefore ?? new Date(now - HOUR_MS),
      notAfter: wish.notAfter ?? new Date(now + HOUR_MS),
      extensions: [
        ...(keyUsages.length > 0 ? [encodeKeyUsages(keyUsages)] : []),
        encodeBasicConstraints({ isCa, pathLength }),
        ...(wish.withoutKeyIds === true
          ? []
          : [encodeSubjectKeyIdentifier(keyId(privateKey)), encodeAuthorityKeyIdentifier(keyId(signingKey))]),
        ...(extendedKeyUsages.length > 0 ? [encodeExtendedKeyUsages(extendedKeyUsages)] : []),
        ...(uriNames.length + dnsNames.length > 0
          ? [encodeSubjectAlternativeNameExtension({ uriNames, dnsNames }, false)]
          : []),
        ...more,
      ],
    },
    createKeySigner(signingKey),
  );
  return { subject, privateKey, certificate };
}

function keyId(key: KeyObject): Buffer {
  return subjectKeyIdentifier(parseSubjectPublicKey(exportSpki(key), 'key').keyBits);
}
