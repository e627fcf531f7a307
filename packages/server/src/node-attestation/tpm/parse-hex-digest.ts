/** Digests as operators write them: hexadecimal, in either case. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { z } from 'zod';

const SHA256_HEX_DIGITS = 64;
/** Of SHA-1, SHA-256, SHA-384 and SHA-512. */
const DIGEST_HEX_DIGITS: ReadonlySet<number> = new Set([40, SHA256_HEX_DIGITS, 96, 128]);

/** @returns it in lower case. @throws BonafideError `invalid_argument`. */
export function parseEkHash(text: string): string {
  return parseSha256(
    text,
    'an EK hash: the SHA-256 of the endorsement key, as bonafide-agent tpm info prints it',
  );
}

/** @returns it in lower case. @throws BonafideError `invalid_argument`. */
function parsePcrDigest(text: string): string {
  if (/^[0-9a-fA-F]+$/.test(text) && DIGEST_HEX_DIGITS.has(text.length)) return text.toLowerCase();
  throw invalidArgument(`${shown(text)} is not a digest; expected 40, 64, 96 or 128 hexadecimal digits`);
}

export const sha256Schema: z.ZodType<string, string> = parsedString((text) => parseSha256(text, 'a SHA-256'));
export const pcrDigestSchema: z.ZodType<string, string> = parsedString(parsePcrDigest);

function parseSha256(text: string, what: string): string {
  if (text.length === SHA256_HEX_DIGITS && /^[0-9a-fA-F]+$/.test(text)) return text.toLowerCase();
  throw invalidArgument(`${shown(text)} is not ${what}; expected ${SHA256_HEX_DIGITS} hexadecimal digits`);
}

const LONGEST_SHOWN = 130;

function shown(text: string): string {
  return JSON.stringify(text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text);
}
