/** The server's side of WIT-SVIDs over HTTP: who sent this request, and did they send exactly this. */
import { BonafideError, invalidArgument, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { isJsonObject } from '@bonafide/shared/jwt/unique-json';
import { verifyWitSvid, type VerifiedWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { checkContentDigest, DIGEST_HEADER } from '../http-signature/content-digest.js';
import type { FieldLines } from '../http-signature/http-message.js';
import { hasSignature, verifyMessageSignature } from '../http-signature/verify-message.js';
import type { Authorizer } from '../tls/authorizer.js';
import { PROOF_HEADER, WIT_HEADER } from '../wit/headers.js';
import type { ProofLimits } from '../wit/proof-limits.js';
import { claimOnce, type ReplayStore } from '../wit/replay-store.js';
import { verifyWorkloadProofToken } from '../wit/verify-workload-proof-token.js';
import type { WitTrust } from '../wit-source.js';
import { boundTokens, only } from './bound-tokens.js';
import { checkAuthorized } from './check-authorized.js';
import { incomingFields } from './incoming-fields.js';
import type { ProofKind } from './prove-request.js';
import { readBody } from './read-body.js';
import { DEFAULT_MAX_BODY_BYTES } from './verify-response.js';

/** What is needed of a request: an `IncomingMessage` of node:http, or a request of node:http2. */
export interface IncomingRequest extends AsyncIterable<unknown> {
  readonly method?: string | undefined;
  /** Path and query, as they came. */
  readonly url?: string | undefined;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
}

/** Whom a server believes, and by which names it is addressed. */
export interface VerifyWitRequestOptions extends ProofLimits {
  /** A `WitSource`, or anything else with current bundles. */
  readonly trust: WitTrust;
  readonly authorizer: Authorizer;
  /**
   * Under which this server is reached, such as `https://billing.internal:8443`; the audience must be one of them with the path of the
   * request. From configuration: what the request says of its host is not to be trusted (draft-ietf-wimse-wpt-01 section 3.1).
   */
  readonly origins?: readonly string[] | undefined;
  /** Other names by which clients address this server, whole. */
  readonly audiences?: readonly string[] | undefined;
  /** Shared by all requests, and by all processes that have an origin or audience in common. */
  readonly replay: ReplayStore;
  /** Which proofs will do; both unless told. Only `http_signature` protects method, query and body. */
  readonly accept?: readonly ProofKind[] | undefined;
  /** The largest body of a request with an HTTP signature; 1 MiB unless told. */
  readonly maxBodyBytes?: number | undefined;
  /** Further headers that carry tokens: a workload proof token must be bound to those that are there. */
  readonly otherTokenHeaders?: readonly string[] | undefined;
  readonly clock?: Clock | undefined;
}

/** Who sent a request, and what came with it. */
export interface VerifiedWitRequest {
  /** The peer. */
  readonly spiffeId: SpiffeId;
  readonly proof: ProofKind;
  readonly wit: VerifiedWitSvid;
  /** With an HTTP signature the body, which had to be read to be verified; undefined otherwise, and then it is still to be read. */
  readonly body: Buffer | undefined;
  /** The client accepts only a signed answer: `sendSignedResponse`, or an error. */
  readonly wantsSignedResponse: boolean;
  /** What a signed answer refers to; undefined for a workload proof token. */
  readonly nonce: string | undefined;
}

const BOTH: readonly ProofKind[] = ['http_signature', 'workload_proof_token'];

/**
 * Call it first thing in the handler: it needs the URL as it came, and the body unread.
 * @example
 * const peer = await verifyWitRequest(request, { trust: source, authorizer, origins: ['https://billing.internal:8443'], replay });
 * @throws BonafideError with a reason for `witErrorStatus`: `invalid_argument` for what is malformed or missing; `unauthenticated` for
 * what is not to be believed, or was sent before; `permission_denied` for a peer that is not authorized; `resource_exhausted` when the
 * replay store is full.
 */
export async function verifyWitRequest(
  request: IncomingRequest,
  options: VerifyWitRequestOptions,
): Promise<VerifiedWitRequest> {
  const { trust, authorizer, replay, leewaySeconds, clock = systemClock } = options;
  const now = clock.now();
  const fields = incomingFields(request);
  const token = only(fields, WIT_HEADER);
  if (token === undefined) throw invalidArgument(`the request has no header ${WIT_HEADER}`);
  // WIT-SVID section 5: it is no bearer token.
  if (fields('authorization')?.some((line) => line.includes(token)) === true) {
    throw invalidArgument('the WIT-SVID is in the Authorization header, where it must not be');
  }
  const kind = chooseProof(fields, options.accept ?? BOTH);
  const wit = await verifyWitSvid({ token, bundle: (name) => trust.bundles.get(name), now, leewaySeconds });
  const verify = kind === 'http_signature' ? verifySignedRequest : verifyProofToken;
  const proof = await verify({
    request,
    fields,
    token,
    wit,
    options,
    now,
    audiences: audiencesOf(request, options),
  });
  checkAuthorized(authorizer, wit.spiffeId);
  const body = await proof.finish();
  await claimOnce(replay, proof.use);
  const { wantsSignedResponse, nonce } = proof;
  return { spiffeId: wit.spiffeId, proof: kind, wit, body, wantsSignedResponse, nonce };
}

/** The HTTP status that says why: 400 and not 401, which would ask for an Authorization header (draft-ietf-wimse-wpt-01 section 2.1). */
export function witErrorStatus(error: unknown): 400 | 403 | 500 | 503 {
  if (!(error instanceof BonafideError)) return 500;
  return STATUSES[error.reason] ?? 500;
}

const STATUSES: Readonly<Partial<Record<Reason, 400 | 403 | 503>>> = {
  invalid_argument: 400,
  unauthenticated: 400,
  permission_denied: 403,
  resource_exhausted: 503,
  unavailable: 503,
};

interface Evidence {
  readonly request: IncomingRequest;
  readonly fields: FieldLines;
  readonly token: string;
  readonly wit: VerifiedWitSvid;
  readonly options: VerifyWitRequestOptions;
  readonly audiences: readonly string[];
  readonly now: Date;
}

interface Proof {
  readonly use: Parameters<ReplayStore['claim']>[0];
  readonly wantsSignedResponse: boolean;
  readonly nonce: string | undefined;
  /** What remains to be done for a peer that is authorized. */
  readonly finish: () => Promise<Buffer | undefined>;
}

async function verifySignedRequest({
  request,
  fields,
  wit,
  options,
  audiences,
  now,
}: Evidence): Promise<Proof> {
  const { method = '', url = '' } = request;
  const message = { method, target: url, fields };
  const signature = await verifyMessageSignature({ ...options, message, wit, audiences, now });
  const digest = only(fields, DIGEST_HEADER);
  const finish = async (): Promise<Buffer> => {
    const announced =
      fields('transfer-encoding') !== undefined || Number(only(fields, 'content-length') ?? 0) > 0;
    if (announced && digest === undefined) throw noDigest();
    const body = await readBody(request, options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES);
    if (digest !== undefined) checkContentDigest(digest, body);
    else if (body.length > 0) throw noDigest();
    return body;
  };
  return { ...signature, finish };
}

async function verifyProofToken({
  fields,
  token: witToken,
  wit,
  options,
  audiences,
  now,
}: Evidence): Promise<Proof> {
  const token = only(fields, PROOF_HEADER) ?? '';
  const { oth } = parseCompactJws(token).payload;
  const named = isJsonObject(oth) ? Object.keys(oth) : [];
  const tokens = boundTokens(fields, [...(options.otherTokenHeaders ?? []), ...named]);
  const { leewaySeconds, maxLifetimeSeconds } = options;
  const limits = { leewaySeconds, maxLifetimeSeconds };
  const proof = { token, witToken, wit, audiences, now, ...limits, ...tokens };
  const { use } = await verifyWorkloadProofToken(proof);
  return { use, wantsSignedResponse: false, nonce: undefined, finish: () => Promise.resolve(undefined) };
}

/** Exactly one: of two it would not be clear which one the sender stands by. */
function chooseProof(fields: FieldLines, accept: readonly ProofKind[]): ProofKind {
  const present: ProofKind[] = [];
  if (hasSignature({ fields })) present.push('http_signature');
  if (only(fields, PROOF_HEADER) !== undefined) present.push('workload_proof_token');
  const [kind, another] = present.filter((candidate) => accept.includes(candidate));
  if (kind === undefined)
    throw invalidArgument(`the request has no proof of possession; accepted: ${accept.join(', ')}`);
  if (another !== undefined) throw invalidArgument('the request has two proofs of possession; expected one');
  return kind;
}

/** Section 3.1 of both drafts: the target URI without query and fragment, by names that we know ourselves by. */
function audiencesOf({ url = '' }: IncomingRequest, options: VerifyWitRequestOptions): readonly string[] {
  const { origins = [], audiences = [] } = options;
  if (origins.length + audiences.length === 0) {
    throw invalidArgument('verifyWitRequest needs origins or audiences by which this server is addressed');
  }
  const [path = ''] = url.split('?');
  return path.startsWith('/') ? [...audiences, ...origins.map((origin) => origin + path)] : audiences;
}

function noDigest(): BonafideError {
  return invalidArgument('the request has a body, but no Content-Digest');
}
