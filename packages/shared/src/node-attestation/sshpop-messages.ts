/** What the halves of the attestor `sshpop` say to each other: the JSON of SPIRE's plugins, whose Go writes bytes as base64. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { SshSignature } from '../crypto/ssh/ssh-signature.js';
import { base64Bytes, base64Nonce } from './base64-bytes.js';
import { parseWith } from './parse-message.js';

export const NONCE_BYTES = 32;
const LARGEST_CERTIFICATE_BYTES = 16 * 1024;
const LARGEST_SIGNATURE_BYTES = 2048;

const nonce = base64Nonce(NONCE_BYTES);

const evidenceSchema = z.strictObject({ Certificate: base64Bytes(LARGEST_CERTIFICATE_BYTES) });
const challengeSchema = z.strictObject({ Nonce: nonce });
const answerSchema = z.strictObject({
  Nonce: nonce,
  Signature: z.strictObject({
    Format: z.string().max(64),
    Blob: base64Bytes(LARGEST_SIGNATURE_BYTES),
    /** Of signatures by security keys, which hosts do not have. */
    Rest: z.null().or(z.literal('')).optional(),
  }),
});

export interface SshPopAnswer {
  /** The node's own. */
  readonly nonce: Buffer;
  readonly signature: SshSignature;
}

/** @returns the certificate as SSH writes it. @throws BonafideError `invalid_argument`. */
export function parseSshPopEvidence(message: Buffer): Buffer {
  return parseWith(evidenceSchema, message, 'sshpop attestation data').Certificate;
}

export function formatSshPopEvidence(certificate: Buffer): Buffer {
  return json({ Certificate: certificate.toString('base64') });
}

/** @returns the server's nonce. @throws BonafideError `invalid_argument`. */
export function parseSshPopChallenge(message: Buffer): Buffer {
  return parseWith(challengeSchema, message, 'sshpop challenge').Nonce;
}

export function formatSshPopChallenge(serverNonce: Buffer): Buffer {
  return json({ Nonce: serverNonce.toString('base64') });
}

/** @throws BonafideError `invalid_argument`. */
export function parseSshPopAnswer(message: Buffer): SshPopAnswer {
  const { Nonce, Signature } = parseWith(answerSchema, message, 'sshpop answer');
  return { nonce: Nonce, signature: { format: Signature.Format, blob: Signature.Blob } };
}

export function formatSshPopAnswer({ nonce: own, signature }: SshPopAnswer): Buffer {
  return json({
    Nonce: own.toString('base64'),
    Signature: { Format: signature.format, Blob: signature.blob.toString('base64'), Rest: null },
  });
}

/** What the node signs. */
export function sshPopSignedData(serverNonce: Buffer, nodeNonce: Buffer): Buffer {
  return createHash('sha256').update(serverNonce).update(nodeNonce).digest();
}

function json(message: object): Buffer {
  return Buffer.from(JSON.stringify(message));
}
