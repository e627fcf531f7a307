/** Signed tokens in JWS Compact Serialization (RFC 7515 section 3.1): taken apart strictly, put together exactly. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseUniqueJsonObject, type JsonObject } from './unique-json.js';

/** Nothing in it is to be believed before its signature is checked. */
export interface CompactJws {
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** What is signed: the first two parts with their dot. */
  readonly signingInput: Buffer;
  readonly signature: Buffer;
}

/** Larger than any token that fits into an HTTP header. */
const MAX_TOKEN_CHARACTERS = 64 * 1024;

/** @throws BonafideError `invalid_argument` saying in which part the fault is. */
export function parseCompactJws(token: string): CompactJws {
  if (token.length > MAX_TOKEN_CHARACTERS) {
    throw invalidArgument(`the token has more than ${MAX_TOKEN_CHARACTERS} characters`);
  }
  const parts = token.split('.');
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) {
    throw invalidArgument('the token does not have the three parts of a signed token');
  }
  return {
    header: parseTokenPart(header, 'header'),
    payload: parseTokenPart(payload, 'payload'),
    signingInput: Buffer.from(`${header}.${payload}`, 'ascii'),
    signature: decodeBase64Url(signature, 'signature'),
  };
}

/**
 * @param text one part of a token, as a verifier reads it.
 * @throws BonafideError `invalid_argument`.
 */
export function parseTokenPart(text: string, part: 'header' | 'payload'): JsonObject {
  return parseUniqueJsonObject(decodeBase64Url(text, part), `token ${part}`);
}

/** @param sign is given the signing input. */
export async function encodeCompactJws(
  header: JsonObject,
  payload: JsonObject,
  sign: (signingInput: Buffer) => Promise<Buffer>,
): Promise<string> {
  const signingInput = `${encodeTokenPart(header)}.${encodeTokenPart(payload)}`;
  const signature = await sign(Buffer.from(signingInput, 'ascii'));
  return `${signingInput}.${signature.toString('base64url')}`;
}

/** A header or a payload. */
export function encodeTokenPart(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

/** The one spelling that the bytes have: other alphabets, padding and loose bits are refused. */
function decodeBase64Url(text: string, part: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (text === '' || bytes.toString('base64url') !== text) {
    throw invalidArgument(`the ${part} of the token is not base64url`);
  }
  return bytes;
}
