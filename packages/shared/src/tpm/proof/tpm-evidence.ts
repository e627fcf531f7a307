/** What agent and server say to each other in the `tpm` attestor: JSON in UTF-8, strict, bytes in base64. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { parseUniqueJsonObject } from '../../jwt/unique-json.js';
import { banksField, bankField, base64Field, pcrValuesField, pcrsField } from './evidence-field.js';
import { LARGEST_ATTEST_BYTES } from '../tpm-attest.js';
import { LARGEST_PUBLIC_BYTES } from '../tpm-public.js';
import { LARGEST_SIGNATURE_BYTES } from '../tpm-signature.js';

/** A call's message has at most 4 MiB; this leaves room for what else is in it. */
export const LARGEST_EVIDENCE_BYTES = 4 * 1024 * 1024 - 64 * 1024;
export const LARGEST_EVENT_LOG_BYTES = 2 * 1024 * 1024;
/** In all: it is sent in pieces, see `imaRoom`. */
export const LARGEST_IMA_LIST_BYTES = 8 * 1024 * 1024;
/** In one proof: the server may ask again, for what it then finds it needs. */
export const MOST_CHALLENGES = 4;
export const NONCE_BYTES = 32;

/** Of the messages that have no lists of a machine in them. */
const LARGEST_OFFER_BYTES = 128 * 1024;
const LARGEST_CHALLENGE_BYTES = 16 * 1024;
/**
 * Several times what any message has. Its length alone does not bound the work: anybody may send an answer, and of small values there
 * would be a million in it.
 */
const MOST_VALUES = 1024;
const LARGEST_CERTIFICATE_BYTES = 8 * 1024;
const MOST_CERTIFICATES = 8;
const LARGEST_CREDENTIAL_BYTES = 1024;
const QUOTE_TAG = 'bonafide tpm quote v1\0';

const offerSchema = z.strictObject({
  version: z.literal(1),
  /** DER; absent: the TPM has none. */
  ekCertificate: base64Field(LARGEST_CERTIFICATE_BYTES).optional(),
  /** DER, issuers of the certificate as the TPM has them. */
  ekChain: z.array(base64Field(LARGEST_CERTIFICATE_BYTES)).max(MOST_CERTIFICATES),
  /** TPMT_PUBLIC, both. */
  ekPublic: base64Field(LARGEST_PUBLIC_BYTES),
  akPublic: base64Field(LARGEST_PUBLIC_BYTES),
});

const challengeSchema = z.strictObject({
  nonce: base64Field(NONCE_BYTES, NONCE_BYTES),
  /** As `makeCredential` gives them; absent in proofs of a node that is attested. */
  credential: base64Field(LARGEST_CREDENTIAL_BYTES).optional(),
  secret: base64Field(LARGEST_CREDENTIAL_BYTES).optional(),
  banks: banksField,
  pcrs: pcrsField,
  wantsEventLog: z.boolean(),
  /** How many entries of the IMA list the server knows; absent: it wants none. */
  imaFrom: z.int().min(0).optional(),
});

const answerSchema = z.strictObject({
  /** What was in the credential; absent when there was none. */
  activated: base64Field(64).optional(),
  quotes: z
    .array(
      z.strictObject({
        bank: bankField,
        /** TPMS_ATTEST. */
        attest: base64Field(LARGEST_ATTEST_BYTES),
        /** TPMT_SIGNATURE. */
        signature: base64Field(LARGEST_SIGNATURE_BYTES),
        pcrs: pcrValuesField,
      }),
    )
    .min(1)
    .max(4)
    .refine((quotes) => new Set(quotes.map(({ bank }) => bank)).size === quotes.length, 'a bank twice'),
  eventLog: base64Field(LARGEST_EVENT_LOG_BYTES, 0).optional(),
  /** Whole entries of the list, from that entry on: as many as had room. */
  ima: z.strictObject({ from: z.int().min(0), list: base64Field(LARGEST_EVIDENCE_BYTES, 0) }).optional(),
  activeBanks: banksField,
});

export type TpmOffer = Readonly<z.output<typeof offerSchema>>;
export type TpmChallenge = Readonly<z.output<typeof challengeSchema>>;
export type TpmAnswer = Readonly<z.output<typeof answerSchema>>;
export type TpmAnswerQuote = TpmAnswer['quotes'][number];

/** @throws BonafideError `invalid_argument`. */
export function parseTpmOffer(data: Buffer): TpmOffer {
  return parseMessage(data, offerSchema, { what: 'TPM offer', largestBytes: LARGEST_OFFER_BYTES });
}

/** @throws BonafideError `invalid_argument`. */
export function parseTpmChallenge(data: Buffer): TpmChallenge {
  const challenge = parseMessage(data, challengeSchema, {
    what: 'TPM challenge',
    largestBytes: LARGEST_CHALLENGE_BYTES,
  });
  if ((challenge.credential === undefined) !== (challenge.secret === undefined))
    throw invalidArgument('TPM challenge: credential and secret go together');
  return challenge;
}

/** @throws BonafideError `invalid_argument`. */
export function parseTpmAnswer(data: Buffer): TpmAnswer {
  return parseMessage(data, answerSchema, { what: 'TPM answer', largestBytes: LARGEST_EVIDENCE_BYTES });
}

export function formatTpmOffer(offer: TpmOffer): Buffer {
  return formatMessage(offer);
}

export function formatTpmChallenge(challenge: TpmChallenge): Buffer {
  return formatMessage(challenge);
}

export function formatTpmAnswer(answer: TpmAnswer): Buffer {
  return formatMessage(answer);
}

/** How many bytes of the IMA list the answer has room for. What does not fit goes with the next challenge, which asks from there on. */
export function imaRoom(answer: TpmAnswer): number {
  const frame = formatTpmAnswer({ ...answer, ima: { from: Number.MAX_SAFE_INTEGER, list: Buffer.alloc(0) } });
  return Math.floor((LARGEST_EVIDENCE_BYTES - frame.length) / 4) * 3;
}

/**
 * What a quote signs along: it is worth something for one challenge and one key only.
 * @param boundHash SHA-256 of the CSR, or of the certificate under which a node proves itself again.
 */
export function quoteExtraData(nonce: Buffer, boundHash: Buffer): Buffer {
  return createHash('sha256').update(QUOTE_TAG).update(nonce).update(boundHash).digest();
}

function parseMessage<T>(
  data: Buffer,
  schema: z.ZodType<T>,
  { what, largestBytes }: { readonly what: string; readonly largestBytes: number },
): T {
  if (data.length > largestBytes) throw invalidArgument(`${what}: more than ${largestBytes} bytes`);
  for (const mark of ',[{') {
    if (occursMoreThan(MOST_VALUES, mark, data))
      throw invalidArgument(`${what}: more than ${MOST_VALUES} values`);
  }
  const parsed = schema.safeParse(parseUniqueJsonObject(data, what));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidArgument(`${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}

/** Looks at no byte twice, and at few when there are many of them. */
function occursMoreThan(most: number, mark: string, data: Buffer): boolean {
  let at = -1;
  for (let found = 0; found <= most; found += 1) {
    at = data.indexOf(mark, at + 1);
    if (at === -1) return false;
  }
  return true;
}

function formatMessage(message: TpmOffer | TpmChallenge | TpmAnswer): Buffer {
  return Buffer.from(JSON.stringify(plain(message)), 'utf8');
}

/** Buffers become base64 and maps objects; everything else is as it is. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}
