/** What the halves of the attestor `tpm_devid` say to each other: the JSON of SPIRE's plugins, whose Go writes bytes as base64. Structures of TPMs are without the size before them. */
import { z } from 'zod';
import type { MadeCredential } from '../tpm/proof/make-credential.js';
import { LARGEST_ATTEST_BYTES } from '../tpm/tpm-attest.js';
import { LARGEST_PUBLIC_BYTES } from '../tpm/tpm-public.js';
import { LARGEST_SIGNATURE_BYTES } from '../tpm/tpm-signature.js';
import { base64Bytes, base64Nonce } from './base64-bytes.js';
import { parseWith } from './parse-message.js';

export const DEVID_NONCE_BYTES = 32;
const MOST_CERTIFICATES = 10;
const LARGEST_CERTIFICATE_BYTES = 16 * 1024;
const LARGEST_CREDENTIAL_BYTES = 256;
const LARGEST_SECRET_BYTES = 1024;
const LARGEST_ACTIVATED_BYTES = 64;

const certificate = base64Bytes(LARGEST_CERTIFICATE_BYTES);
const publicArea = base64Bytes(LARGEST_PUBLIC_BYTES);

const evidenceSchema = z.strictObject({
  DevIDCert: z.array(certificate).min(1).max(MOST_CERTIFICATES),
  DevIDPub: publicArea,
  EKCert: certificate,
  EKPub: publicArea,
  AKPub: publicArea,
  CertifiedDevID: base64Bytes(LARGEST_ATTEST_BYTES),
  CertificationSignature: base64Bytes(LARGEST_SIGNATURE_BYTES),
});
const challengeSchema = z.strictObject({
  // Of one length: the DevID signs nothing else for a server.
  DevID: base64Nonce(DEVID_NONCE_BYTES),
  CredActivation: z.strictObject({
    Credential: base64Bytes(LARGEST_CREDENTIAL_BYTES),
    Secret: base64Bytes(LARGEST_SECRET_BYTES),
  }),
});
const answerSchema = z.strictObject({
  DevID: base64Bytes(LARGEST_SIGNATURE_BYTES),
  CredActivation: base64Bytes(LARGEST_ACTIVATED_BYTES),
});

export interface DevIdEvidence {
  /** DER, the DevID's own first. */
  readonly certificates: readonly Buffer[];
  /** TPMT_PUBLIC, as are the others. */
  readonly devIdPublic: Buffer;
  /** DER. */
  readonly ekCertificate: Buffer;
  readonly ekPublic: Buffer;
  readonly akPublic: Buffer;
  /** TPMS_ATTEST and TPMT_SIGNATURE: the AK says that the DevID is in its TPM. */
  readonly attest: Buffer;
  readonly signature: Buffer;
}

export interface DevIdChallenge {
  /** For the DevID to sign. */
  readonly nonce: Buffer;
  readonly credential: MadeCredential;
}

export interface DevIdAnswer {
  /** As certificates have signatures: PKCS#1 v1.5, or r and s in DER. */
  readonly signature: Buffer;
  /** The secret of the credential. */
  readonly activated: Buffer;
}

/** @throws BonafideError `invalid_argument`. */
export function parseDevIdEvidence(message: Buffer): DevIdEvidence {
  const evidence = parseWith(evidenceSchema, message, 'tpm_devid attestation data');
  return {
    certificates: evidence.DevIDCert,
    devIdPublic: evidence.DevIDPub,
    ekCertificate: evidence.EKCert,
    ekPublic: evidence.EKPub,
    akPublic: evidence.AKPub,
    attest: evidence.CertifiedDevID,
    signature: evidence.CertificationSignature,
  };
}

export function formatDevIdEvidence(evidence: DevIdEvidence): Buffer {
  return json({
    DevIDCert: evidence.certificates.map(base64),
    DevIDPub: base64(evidence.devIdPublic),
    EKCert: base64(evidence.ekCertificate),
    EKPub: base64(evidence.ekPublic),
    AKPub: base64(evidence.akPublic),
    CertifiedDevID: base64(evidence.attest),
    CertificationSignature: base64(evidence.signature),
  });
}

/** @throws BonafideError `invalid_argument`. */
export function parseDevIdChallenge(message: Buffer): DevIdChallenge {
  const { DevID, CredActivation } = parseWith(challengeSchema, message, 'tpm_devid challenge');
  return {
    nonce: DevID,
    credential: { credential: CredActivation.Credential, secret: CredActivation.Secret },
  };
}

export function formatDevIdChallenge({ nonce, credential }: DevIdChallenge): Buffer {
  const CredActivation = { Credential: base64(credential.credential), Secret: base64(credential.secret) };
  return json({ DevID: base64(nonce), CredActivation });
}

/** @throws BonafideError `invalid_argument`. */
export function parseDevIdAnswer(message: Buffer): DevIdAnswer {
  const { DevID, CredActivation } = parseWith(answerSchema, message, 'tpm_devid answer');
  return { signature: DevID, activated: CredActivation };
}

export function formatDevIdAnswer({ signature, activated }: DevIdAnswer): Buffer {
  return json({ DevID: base64(signature), CredActivation: base64(activated) });
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64');
}

function json(message: object): Buffer {
  return Buffer.from(JSON.stringify(message));
}
