/** What the halves of the attestor `x509pop` say to each other: the JSON of SPIRE's plugins, whose Go writes bytes as base64. */
import { z } from 'zod';
import type { PossessionProof } from '../crypto/possession-proof.js';
import { invalidArgument } from '../errors/bonafide-error.js';
import { base64Bytes, base64Nonce } from './base64-bytes.js';
import { parseWith } from './parse-message.js';

export const NONCE_BYTES = 32;
const MOST_CERTIFICATES = 32;
const LARGEST_CERTIFICATE_BYTES = 64 * 1024;
const LARGEST_SIGNATURE_BYTES = 1024;

const nonce = base64Nonce(NONCE_BYTES);
const nonceSchema = z.strictObject({ nonce });

const evidenceSchema = z.strictObject({
  certificates: z.array(base64Bytes(LARGEST_CERTIFICATE_BYTES)).min(1).max(MOST_CERTIFICATES),
});
const challengeSchema = z.strictObject({
  rsa_signature: nonceSchema.nullish(),
  ecdsa_signature: nonceSchema.nullish(),
});
const rsaSchema = z.strictObject({ nonce, signature: base64Bytes(LARGEST_SIGNATURE_BYTES) });
const ecdsaSchema = z.strictObject({ nonce, r: base64Bytes(66), s: base64Bytes(66) });
const answerSchema = z.strictObject({
  rsa_signature: rsaSchema.nullish(),
  ecdsa_signature: ecdsaSchema.nullish(),
});

export interface X509PopChallenge {
  /** What kind of key is to sign. */
  readonly kind: PossessionProof['kind'];
  readonly nonce: Buffer;
}

export interface X509PopAnswer {
  /** The node's own. */
  readonly nonce: Buffer;
  readonly proof: PossessionProof;
}

/** @returns DER, the node's certificate first. @throws BonafideError `invalid_argument`. */
export function parseX509PopEvidence(message: Buffer): readonly Buffer[] {
  return parseWith(evidenceSchema, message, 'x509pop attestation data').certificates;
}

export function formatX509PopEvidence(certificates: readonly Buffer[]): Buffer {
  return json({ certificates: certificates.map((der) => der.toString('base64')) });
}

/** @throws BonafideError `invalid_argument`. */
export function parseX509PopChallenge(message: Buffer): X509PopChallenge {
  const { rsa_signature: rsa, ecdsa_signature: ecdsa } = parseWith(
    challengeSchema,
    message,
    'x509pop challenge',
  );
  if (rsa && !ecdsa) return { kind: 'rsa', nonce: rsa.nonce };
  if (ecdsa && !rsa) return { kind: 'ec', nonce: ecdsa.nonce };
  throw invalidArgument('malformed x509pop challenge: expected one of rsa_signature and ecdsa_signature');
}

export function formatX509PopChallenge({ kind, nonce }: X509PopChallenge): Buffer {
  const asked = { nonce: nonce.toString('base64') };
  return json({
    rsa_signature: kind === 'rsa' ? asked : null,
    ecdsa_signature: kind === 'ec' ? asked : null,
  });
}

/** @throws BonafideError `invalid_argument`. */
export function parseX509PopAnswer(message: Buffer): X509PopAnswer {
  const { rsa_signature: rsa, ecdsa_signature: ecdsa } = parseWith(answerSchema, message, 'x509pop answer');
  if (rsa && !ecdsa) return { nonce: rsa.nonce, proof: { kind: 'rsa', signature: rsa.signature } };
  if (ecdsa && !rsa) return { nonce: ecdsa.nonce, proof: { kind: 'ec', r: ecdsa.r, s: ecdsa.s } };
  throw invalidArgument('malformed x509pop answer: expected one of rsa_signature and ecdsa_signature');
}

export function formatX509PopAnswer({ nonce, proof }: X509PopAnswer): Buffer {
  const own = nonce.toString('base64');
  return proof.kind === 'rsa'
    ? json({
        rsa_signature: { nonce: own, signature: proof.signature.toString('base64') },
        ecdsa_signature: null,
      })
    : json({
        rsa_signature: null,
        ecdsa_signature: { nonce: own, r: proof.r.toString('base64'), s: proof.s.toString('base64') },
      });
}

function json(message: object): Buffer {
  return Buffer.from(JSON.stringify(message));
}
