/** The server calls a node back at the name it claims: the addresses that were checked are those that are connected to, and it goes nowhere else. */
import { timingSafeEqual } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { IpNetwork } from '@bonafide/shared/http/network-address';
import { sendRequest } from '@bonafide/shared/http/send-request';
import {
  httpChallengePath,
  LONGEST_PAGE_BYTES,
  type HttpChallengeEvidence,
} from '@bonafide/shared/node-attestation/http-challenge-messages';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import { checkNodeAddress } from './address-policy.js';

const LONGEST_LOOKUP_MS = 5_000;
const LONGEST_CALL_MS = 10_000;
const MOST_ADDRESSES = 32;

/** Gives every address of a name. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface CallBackOptions {
  /** As a node may be called: checked already. */
  readonly node: HttpChallengeEvidence;
  readonly allowedNetworks: readonly IpNetwork[] | undefined;
  readonly resolve: ResolveName;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly limitMs?: number | undefined;
}

/** @throws BonafideError `permission_denied` unless the node answers with the nonce. */
export async function expectNonce(nonce: string, options: CallBackOptions): Promise<void> {
  const { node, signal, limitMs = LONGEST_CALL_MS } = options;
  const addresses = await addressesOf(options);
  const { status, body } = await sendRequest({
    method: 'GET',
    url: new URL(httpChallengePath(node.agentname), `http://${node.hostname}:${node.port}`),
    allowsPlainHttp: true,
    limitMs,
    largestAnswerBytes: LONGEST_PAGE_BYTES,
    signal,
    lookup: always(addresses),
  }).catch((error: unknown) => {
    throw refusal(errorMessage(error), error);
  });
  // A redirect leads where somebody else says.
  if (status !== 200) throw refusal(`the node answered with status ${status}`);
  if (!isSame(body.trim(), nonce)) throw refusal('expected nonce was not found in HTTP response');
}

/** One that is refused speaks for all: a name that leads to several places is not the name of one node. */
async function addressesOf(options: CallBackOptions): Promise<readonly LookupAddress[]> {
  const { node, allowedNetworks, resolve, clock } = options;
  const lookup = resolve(node.hostname).catch((error: unknown) => {
    throw refusal(`the hostname ${node.hostname} has no address`, error);
  });
  const addresses = await withTimeLimit(clock, LONGEST_LOOKUP_MS, 'the domain name system', lookup);
  if (addresses.length === 0 || addresses.length > MOST_ADDRESSES) {
    throw refusal(`the hostname ${node.hostname} has no address, or more than ${MOST_ADDRESSES}`);
  }
  for (const { address } of addresses) checkNodeAddress(address, allowedNetworks);
  return addresses;
}

function always(addresses: readonly LookupAddress[]): LookupFunction {
  const [first] = addresses;
  return (_hostname, { all }, callback) => {
    if (all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };
}

function isSame(text: string, nonce: string): boolean {
  const [left, right] = [Buffer.from(text), Buffer.from(nonce)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function refusal(why: string, cause?: unknown): BonafideError {
  return new BonafideError('permission_denied', `challenge verification failed: ${why}`, { cause });
}
