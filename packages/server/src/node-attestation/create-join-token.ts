/** Makes a join token: a secret that proves one node, once, before it expires. */
import { randomUUID } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { JoinToken } from '../store/join-token-record.js';
import type { Store } from '../store/store.js';
import { joinTokenAgentId } from './join-token.js';

export interface JoinTokenRequest {
  readonly ttlSeconds: number;
  /** Undefined: a random UUID. */
  readonly token: string | undefined;
  /** A second name for the agent, under which its entries may hang; an entry that grants it is made along with the token. */
  readonly aliasId: SpiffeId | undefined;
}

export interface JoinTokenOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly clock: Clock;
}

const LONGEST_TTL_SECONDS = 10 * 365 * 24 * 3600;

/** @throws BonafideError `invalid_argument` for a bad time to live or token; `already_exists` for a token that is there. */
export async function createJoinToken(
  { ttlSeconds, token = randomUUID(), aliasId }: JoinTokenRequest,
  { trustDomain, store, clock }: JoinTokenOptions,
): Promise<JoinToken> {
  if (ttlSeconds < 1) throw new BonafideError('invalid_argument', 'ttl is required, you must provide one');
  if (ttlSeconds > LONGEST_TTL_SECONDS) {
    throw new BonafideError('invalid_argument', `ttl is longer than ${LONGEST_TTL_SECONDS} seconds`);
  }
  const agentId = joinTokenAgentId(trustDomain, token);
  const now = clock.now();
  const joinToken: JoinToken = { token, expiresAt: addSeconds(now, ttlSeconds), aliasId };
  await store.write(async (transaction) => {
    // Here, so that no timer has to look for them.
    await transaction.joinTokens.deleteExpired(now);
    await transaction.joinTokens.create(joinToken);
    if (aliasId === undefined) return;
    await transaction.entries.create(
      {
        spiffeId: aliasId,
        parentId: agentId,
        // As SPIRE writes it, which is also how it is known again when the agent is evicted.
        selectors: [{ type: 'spiffe_id', value: agentId }],
        x509SvidTtlSeconds: undefined,
        jwtSvidTtlSeconds: undefined,
        federatesWith: [],
        isAdmin: false,
        isDownstream: false,
        expiresAt: undefined,
        dnsNames: [],
        storesSvid: false,
        hint: undefined,
        disablesX509SvidPrefetch: false,
        includesJwtSvidJti: false,
      },
      { id: undefined, createdAt: now },
    );
  });
  return joinToken;
}
