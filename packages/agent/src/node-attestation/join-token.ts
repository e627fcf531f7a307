/** Attestation by join token: the token itself is the evidence, and is good for one time. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

export const joinToken: NodeAttestorPlugin<Record<string, never>> = {
  configSchema: z.strictObject({}),
  create(_config, { joinToken: token }) {
    let isSpent = false;
    return {
      type: 'join_token',
      get isSpent() {
        return isSpent;
      },
      async attest(exchange) {
        if (token === undefined) {
          throw new BonafideError(
            'failed_precondition',
            "this agent needs a join token to attest; make one on the server with 'bonafide-server token generate' and give it with --join-token",
          );
        }
        const challenge = await exchange.send(Buffer.from(token));
        isSpent = true;
        if (challenge !== undefined) {
          throw new BonafideError('internal', 'the server answered a join token with a challenge');
        }
      },
    };
  },
};
