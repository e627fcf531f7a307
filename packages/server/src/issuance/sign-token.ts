/** Signs one token: its times within those of the authority, its header, and a last look at the very bytes that are signed. */
import { randomUUID } from 'node:crypto';
import { jwsAlgorithmFor, signJws } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { encodeTokenPart, parseTokenPart } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { addSeconds, dateFromUnixSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Signer } from '../authority/key-manager.js';
import type { TokenSigningAuthority } from '../authority/token-signing-authority.js';

export interface TokenTimes {
  /** Whole seconds, both of them. */
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/**
 * Nothing outlives its authority.
 * @throws BonafideError `invalid_argument` for a time to live of less than a second; `unavailable` when the authority has expired.
 */
export function tokenTimes(authority: TokenSigningAuthority, ttlSeconds: number, now: Date): TokenTimes {
  if (!Number.isFinite(ttlSeconds) || ttlSeconds < 1) {
    throw invalidArgument('the time to live must be at least 1 second');
  }
  const issuedAt = dateFromUnixSeconds(unixSeconds(now));
  const wanted = addSeconds(issuedAt, Math.floor(ttlSeconds));
  const latest = dateFromUnixSeconds(unixSeconds(authority.notAfter));
  const expiresAt = wanted < latest ? wanted : latest;
  if (expiresAt <= now) throw new BonafideError('unavailable', 'the signing authority has expired');
  return { issuedAt, expiresAt };
}

export interface TokenToSign {
  readonly authority: TokenSigningAuthority;
  readonly type: string;
  readonly claims: JsonObject;
  /** Given what a verifier will read. @throws BonafideError `internal`: then nothing is signed. */
  readonly lint: (header: JsonObject, claims: JsonObject) => void;
}

/** @returns the token in JWS Compact Serialization. */
export async function signToken({ authority, type, claims, lint }: TokenToSign): Promise<string> {
  const header = headerOf(authority, type);
  const payload = encodeTokenPart(claims);
  lint(header.read, parseTokenPart(payload, 'payload'));
  const signingInput = `${header.text}.${payload}`;
  const signature = await signJws(authority.signer, Buffer.from(signingInput, 'ascii'));
  return `${signingInput}.${signature.toString('base64url')}`;
}

interface Header {
  readonly keyId: string;
  readonly type: string;
  /** As it stands in the token. */
  readonly text: string;
  /** What a verifier reads in that text. */
  readonly read: JsonObject;
}

/** All tokens of one authority have the same. */
const headers = new WeakMap<Signer, Header>();

function headerOf({ keyId, signer }: TokenSigningAuthority, type: string): Header {
  const known = headers.get(signer);
  if (known?.keyId === keyId && known.type === type) return known;
  const text = encodeTokenPart({ alg: jwsAlgorithmFor(signer.keyType), kid: keyId, typ: type });
  const header = { keyId, type, text, read: parseTokenPart(text, 'header') };
  headers.set(signer, header);
  return header;
}

/** The bytes of a random UUID in base64url, as in SPIRE. */
export function createTokenId(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
}
