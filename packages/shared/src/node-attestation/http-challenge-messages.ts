/** What the two halves of `http_challenge` say to each other, as SPIRE's do: JSON, and one page that the agent serves for the time of an attestation. */
import { z } from 'zod';
import { parseWith } from './parse-message.js';

/** Of the page's whole body: the nonce and a line end. */
export const LONGEST_PAGE_BYTES = 64;

const MOST_NONCE_CHARACTERS = LONGEST_PAGE_BYTES - 2;

const evidenceSchema = z.object({
  hostname: z.string().min(1).max(253),
  /** Tells agents on one host apart. */
  agentname: z
    .string()
    .max(32)
    .regex(/^[a-zA-Z][a-zA-Z0-9-]*$/, 'expected a letter, then letters, digits and dashes'),
  /** On which the server reaches the page. */
  port: z.int().min(1).max(65_535),
});

const challengeSchema = z.object({
  nonce: z.string().regex(new RegExp(`^[A-Za-z0-9_=+/-]{16,${MOST_NONCE_CHARACTERS}}$`), 'expected base64'),
});

export type HttpChallengeEvidence = Readonly<z.infer<typeof evidenceSchema>>;

/** @throws BonafideError `invalid_argument` naming the member that is wrong. */
export function parseHttpChallengeEvidence(bytes: Buffer): HttpChallengeEvidence {
  return parseWith(evidenceSchema, bytes, 'evidence of http_challenge');
}

/** @throws BonafideError `invalid_argument`. */
export function parseHttpChallenge(bytes: Buffer): { readonly nonce: string } {
  return parseWith(challengeSchema, bytes, 'challenge of http_challenge');
}

export const agentNameSchema = evidenceSchema.shape.agentname;

export function httpChallengePath(agentname: string): string {
  return `/.well-known/spiffe/nodeattestor/http_challenge/${agentname}/challenge`;
}
