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
    header: parseUniqueJsonObject(decodeBase64Url(header, 'header'), 'token header'),
    payload: parseUniqueJsonObject(decodeBase64Url(payload, 'payload'), 'token payload'),
    signingInput: Buffer.from(`${header}.${payload}`, 'ascii'),
    signature: decodeBase64Url(signature, 'signature'),
  };
}

/**
 * What is about to be signed, read as a verifier will read it.
 * @throws BonafideError `invalid_argument` saying in which part the fault is.
 */
export function parseSigningInput(signingInput: Buffer): Pick<CompactJws, 'header' | 'payload'> {
  const parts = signingInput.toString('latin1').split('.');
  const [header, payload] = parts;
  if (parts.length !== 2 || header === undefined || payload === undefined) {
    throw invalidArgument('what is to be signed does not have the two parts of a token');
  }
  return {
    header: parseUniqueJsonObject(decodeBase64Url(header, 'header'), 'token header'),
    payload: parseUniqueJsonObject(decodeBase64Url(payload, 'payload'), 'token payload'),
  };
}

/** @param sign is given the signing input. */
export async function encodeCompactJws(
  header: JsonObject,
  payload: JsonObject,
  sign: (signingInput: Buffer) => Promise<Buffer>,
): Promise<string> {
  const signingInput = `${encodeJson(header)}.${encodeJson(payload)}`;
  const signature = await sign(Buffer.from(signingInput, 'ascii'));
  return `${signingInput}.${signature.toString('base64url')}`;
}

function encodeJson(value: JsonObject): string {
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
