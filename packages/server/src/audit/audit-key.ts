/** The key of the audit log: it signs checkpoints, each of which vouches for every record before it. */
import { hash, type KeyObject } from 'node:crypto';
import { decodeBase64 } from '@bonafide/shared/crypto/pem';
import type { Signer } from '@bonafide/shared/crypto/signer';
import { signatureAlgorithmFor, verifySignature } from '@bonafide/shared/crypto/signature-algorithm';
import {
  importSubjectPublicKeySync,
  parseSubjectPublicKey,
} from '@bonafide/shared/crypto/subject-public-key';
import type { KeyManager } from '../authority/key-manager.js';

/** No prefix of authorities' keys, which the server removes when it does not know them. */
const KEY_ID = 'audit-log';
const KEY_TYPE = 'ec-p256';

/** The same as before, where the key manager keeps keys; made when there is none. */
export async function auditSigner(keyManager: KeyManager): Promise<Signer> {
  return (await keyManager.getSigner(KEY_ID)) ?? keyManager.generateKey(KEY_ID, KEY_TYPE);
}

/** What checkpoints vouch for. */
export interface CheckpointPlace {
  readonly serverId: string;
  /** Of the record before the checkpoint. */
  readonly seq: number;
  readonly hash: string;
  /** `open`, `interval`, `rotation` or `close`. */
  readonly kind: string;
}

/** Base64 of the SubjectPublicKeyInfo. */
export function publicKeyText(signer: Signer): string {
  return signer.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** SHA-256 of the SubjectPublicKeyInfo, in hexadecimal. */
export function keyIdOf(publicKey: string): string {
  return hash('sha256', Buffer.from(publicKey, 'base64'), 'hex');
}

export async function signCheckpoint(signer: Signer, place: CheckpointPlace): Promise<string> {
  return (await signer.sign(statement(place), 'sha256')).toString('base64');
}

/** @throws BonafideError `invalid_argument` for what is no public key. */
export function parsePublicKey(text: string): KeyObject {
  const spki = decodeBase64(text, 'public key of the audit log');
  return importSubjectPublicKeySync(parseSubjectPublicKey(spki, 'the key of the audit log'));
}

export function isSignedBy(
  publicKey: KeyObject,
  place: CheckpointPlace,
  signature: string,
): Promise<boolean> {
  return verifySignature({
    algorithm: signatureAlgorithmFor(KEY_TYPE),
    publicKey,
    data: statement(place),
    signature: Buffer.from(signature, 'base64'),
  });
}

function statement({ serverId, seq, hash: head, kind }: CheckpointPlace): Buffer {
  return Buffer.from(`bonafide audit checkpoint v1\n${serverId}\n${seq}\n${head}\n${kind}\n`);
}
