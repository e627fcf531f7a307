/** The headers by which a request proves whose it is: the WIT-SVID, and a proof that its key is at hand. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import type { SignedRequest } from '../http-signature/http-message.js';
import { signRequest } from '../http-signature/sign-message.js';
import { createWorkloadProofToken } from '../wit/create-workload-proof-token.js';
import { PROOF_HEADER, WIT_HEADER } from '../wit/headers.js';
import { boundTokens } from './bound-tokens.js';

/** `http_signature` covers method, target, body and tokens; `workload_proof_token` the audience and tokens alone. */
export type ProofKind = 'http_signature' | 'workload_proof_token';

/** How requests are proved. */
export interface ProofOptions {
  /** `http_signature` unless told. */
  readonly proof?: ProofKind | undefined;
  /** 60 unless told. */
  readonly lifetimeSeconds?: number | undefined;
  /** Further headers that carry tokens, for a workload proof token to be bound to. */
  readonly otherTokenHeaders?: readonly string[] | undefined;
  readonly clock?: Clock | undefined;
}

export interface RequestProof {
  /** To be set on the request, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the signature; undefined for a workload proof token, which an answer cannot refer to. */
  readonly nonce: string | undefined;
}

interface ProvenRequest extends SignedRequest {
  readonly body: Uint8Array | undefined;
  readonly audience: string;
  readonly wantsSignedResponse: boolean;
}

const OWN_HEADERS = [WIT_HEADER, PROOF_HEADER, 'signature', 'signature-input'];

/** @throws BonafideError `failed_precondition` when the SVID has expired; `invalid_argument` for a request that cannot carry a proof. */
export async function proveRequest(
  svid: WitSvid,
  request: ProvenRequest,
  { proof = 'http_signature', lifetimeSeconds, otherTokenHeaders = [], clock }: ProofOptions,
): Promise<RequestProof> {
  const taken = OWN_HEADERS.find((name) => request.fields(name) !== undefined);
  if (taken !== undefined) throw invalidArgument(`the request already has the header ${taken}`);
  // WIT-SVID section 5: it is no bearer token.
  if (request.fields('authorization')?.some((line) => line.includes(svid.token)) === true) {
    throw invalidArgument('a WIT-SVID must not be sent in the Authorization header');
  }
  const { audience, body, wantsSignedResponse } = request;
  if (proof === 'http_signature') {
    return signRequest(svid, request, { audience, body, wantsSignedResponse, lifetimeSeconds, clock });
  }
  if (wantsSignedResponse)
    throw invalidArgument('only a request with an HTTP signature can ask for a signed response');
  const tokens = boundTokens(request.fields, otherTokenHeaders);
  const token = await createWorkloadProofToken(svid, { audience, lifetimeSeconds, clock, ...tokens });
  return { headers: { [WIT_HEADER]: svid.token, [PROOF_HEADER]: token }, nonce: undefined };
}
