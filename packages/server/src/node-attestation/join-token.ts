/** Attestation by join token: whoever brings the token first is the node it was made for. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { agentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const TYPE = 'join_token';
const LONGEST_TOKEN_BYTES = 255;

/**
 * The ID of the agent that attests with this token.
 * @throws BonafideError `invalid_argument` when the token cannot be the segment of a path.
 */
export function joinTokenAgentId(trustDomain: TrustDomain, token: string): SpiffeId {
  if (
    token === '' ||
    token.length > LONGEST_TOKEN_BYTES ||
    !/^[a-zA-Z0-9._-]+$/.test(token) ||
    /^\.\.?$/.test(token)
  ) {
    throw new BonafideError(
      'invalid_argument',
      `join token must be 1 to ${LONGEST_TOKEN_BYTES} letters, digits, dots, dashes and underscores`,
    );
  }
  return agentId(trustDomain, TYPE, token);
}

export const joinToken: NodeAttestorPlugin<Record<string, never>> = {
  configSchema: z.strictObject({}),
  create: (_config, { trustDomain }) => ({
    attest({ payload, now }) {
      const token = payload.toString('latin1');
      return Promise.resolve({
        agentId: joinTokenAgentId(trustDomain, token),
        selectors: [],
        canReattest: false,
        async spend(transaction) {
          const spent = await transaction.joinTokens.spend(token);
          if (spent === undefined) {
            throw new BonafideError(
              'invalid_argument',
              'failed to attest: join token does not exist or has already been used',
            );
          }
          if (spent.expiresAt < now) throw new BonafideError('invalid_argument', 'join token expired');
        },
      });
    },
  }),
};
