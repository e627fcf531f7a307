/** Verifies HTTP message signatures (RFC 9421 section 3.2 as profiled by draft-ietf-wimse-http-signature-06 section 3). */
import { verifyJws } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { DEFAULT_LEEWAY_SECONDS } from '@bonafide/shared/jwt/verify-jwt-svid';
import type { VerifiedWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { addSeconds, dateFromUnixSeconds } from '@bonafide/shared/runtime/clock';
import {
  DEFAULT_MAX_LIFETIME_SECONDS,
  MAX_PROOF_ID_CHARACTERS,
  type ProofLimits,
} from '../wit/proof-limits.js';
import type { ProofUse } from '../wit/replay-store.js';
import { requiredComponents, SIGNATURE_LABEL, SIGNATURE_TAG } from './covered-components.js';
import type { SignedMessage } from './http-message.js';
import { signatureBase } from './signature-base.js';
import { parseDictionary, serializeItem, type Dictionary, type InnerList } from './structured-field.js';

export interface SignatureVerification extends ProofLimits {
  readonly message: SignedMessage;
  /** What `verifyWitSvid` made of the message's Workload-Identity-Token. */
  readonly wit: VerifiedWitSvid;
  /** Of a request: as what we may be addressed; from configuration, not from the request's Host header. */
  readonly audiences?: readonly string[] | undefined;
  /** Of a response: the nonce of the request that it answers. */
  readonly requestNonce?: string | undefined;
  readonly now: Date;
}

/** What a signature says, once it is believed. */
export interface VerifiedSignature {
  readonly nonce: string;
  readonly wantsSignedResponse: boolean;
  /** To be claimed at a `ReplayStore`, when everything else about the message has been found right. */
  readonly use: ProofUse;
}

/** Fields of which a second line would leave open which one counts. */
const SINGLE_FIELDS = [
  'authorization',
  'content-type',
  'content-digest',
  'txn-token',
  'workload-identity-token',
];

/**
 * The body is not looked at: the caller checks it against Content-Digest, which the signature covers when it is there.
 * @throws BonafideError `invalid_argument` for a malformed or incomplete signature; `unauthenticated` for one that is not to be believed.
 */
export async function verifyMessageSignature(
  verification: SignatureVerification,
): Promise<VerifiedSignature> {
  const { message, wit, now } = verification;
  for (const name of SINGLE_FIELDS) {
    if ((message.fields(name)?.length ?? 0) > 1)
      throw invalidArgument(`the message has the header ${name} twice`);
  }
  const { input, signature } = findSignature(message);
  const parameters = readParameters(input);
  const covered = new Set(input.items.map(serializeItem));
  for (const component of requiredComponents(message).map(serializeItem)) {
    if (!covered.has(component)) throw invalidArgument(`the signature does not cover ${component}`);
  }
  const { confirmationAlgorithm: algorithm, confirmationKey: publicKey } = wit;
  if (!(await verifyJws({ algorithm, publicKey, data: signatureBase(message, input), signature }))) {
    throw new BonafideError(
      'unauthenticated',
      'the message is not as it was signed with the key of its WIT-SVID',
    );
  }
  checkLifetime(parameters, verification);
  if ('status' in message) checkRequestNonce(input, verification);
  else checkAudience(input, verification);
  const { leewaySeconds = DEFAULT_LEEWAY_SECONDS } = verification;
  return {
    nonce: parameters.nonce,
    wantsSignedResponse: input.parameters.get('wimse-sign-response') === true,
    use: {
      sender: wit.spiffeId,
      id: `sig ${parameters.nonce}`,
      until: addSeconds(parameters.expires, leewaySeconds),
    },
  };

  function checkLifetime({ created, expires }: SignatureParameters, limits: ProofLimits): void {
    const { leewaySeconds = DEFAULT_LEEWAY_SECONDS, maxLifetimeSeconds = DEFAULT_MAX_LIFETIME_SECONDS } =
      limits;
    if (!(created <= addSeconds(now, leewaySeconds))) {
      throw refused(`was made in the future, at ${created.toISOString()}; compare the clocks`);
    }
    if (!(now < addSeconds(expires, leewaySeconds))) throw refused(`expired at ${expires.toISOString()}`);
    if (!(created < expires && expires <= addSeconds(created, maxLifetimeSeconds))) {
      throw refused(`lives too long; at most ${maxLifetimeSeconds} s are accepted`);
    }
  }
}

interface SignatureParameters {
  readonly created: Date;
  readonly expires: Date;
  readonly nonce: string;
}

/** Whether there is a signature of this profile at all. @throws BonafideError `invalid_argument` when the field is malformed. */
export function hasSignature({ fields }: Pick<SignedMessage, 'fields'>): boolean {
  const lines = fields('signature-input');
  if (lines === undefined) return false;
  return ours(parseDictionary(lines.join(', '), 'Signature-Input')).length > 0;
}

function ours(inputs: Dictionary): readonly (readonly [string, InnerList])[] {
  return [...inputs].flatMap(([label, input]) =>
    'items' in input && input.parameters.get('tag') === SIGNATURE_TAG ? [[label, input] as const] : [],
  );
}

/** Section 3: one, or of several the one labelled `wimse`; signatures for other purposes are not ours to judge. */
function findSignature({ fields }: SignedMessage): { readonly input: InnerList; readonly signature: Buffer } {
  const candidates = ours(parseDictionary((fields('signature-input') ?? []).join(', '), 'Signature-Input'));
  const chosen =
    candidates.length > 1 ? candidates.find(([label]) => label === SIGNATURE_LABEL) : candidates[0];
  if (chosen === undefined) {
    throw invalidArgument(`the message has no signature, or no single one, with the tag ${SIGNATURE_TAG}`);
  }
  const [label, input] = chosen;
  const member = parseDictionary((fields('signature') ?? []).join(', '), 'Signature').get(label);
  const signature = member !== undefined && 'value' in member ? member.value : undefined;
  if (!Buffer.isBuffer(signature))
    throw invalidArgument(`Signature has no bytes for ${JSON.stringify(label)}`);
  return { input, signature };
}

function readParameters({ parameters }: InnerList): SignatureParameters {
  for (const name of ['keyid', 'alg']) {
    if (parameters.has(name))
      throw invalidArgument(`the signature has the parameter ${name}, which must not be there`);
  }
  const nonce = parameters.get('nonce');
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > MAX_PROOF_ID_CHARACTERS) {
    throw invalidArgument('the signature has no nonce of a sensible length');
  }
  return {
    created: readTime(parameters.get('created'), 'created'),
    expires: readTime(parameters.get('expires'), 'expires'),
    nonce,
  };
}

/** Of the year 9999. */
const LAST_SECOND = 253_402_300_799;

function readTime(value: unknown, name: string): Date {
  if (typeof value === 'number' && value >= 0 && value <= LAST_SECOND) return dateFromUnixSeconds(value);
  throw invalidArgument(`the signature has no ${name} time`);
}

function checkAudience(input: InnerList, { audiences = [] }: SignatureVerification): void {
  const audience = input.parameters.get('wimse-aud');
  if (typeof audience !== 'string') throw invalidArgument('the signature has no wimse-aud');
  if (!audiences.includes(audience))
    throw refused(`is for ${JSON.stringify(audience.slice(0, 200))}, which is not us`);
}

function checkRequestNonce(input: InnerList, { requestNonce }: SignatureVerification): void {
  const nonce = input.parameters.get('wimse-req-nonce');
  if (requestNonce === undefined || nonce !== requestNonce) throw refused('answers another request');
}

function refused(problem: string): BonafideError {
  return new BonafideError('unauthenticated', `the signature of the message ${problem}`);
}
