/** One attempt to attest, from trust in the server to the agent's identity; begins at the bootstrap source when the bundle is lost. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AgentIdentity } from '../agent-identity/agent-identity.js';
import { isUnknownAuthority } from '../agent-identity/explain-failure.js';
import type { Rebootstrap } from '../agent-identity/rebootstrap.js';
import type { ServerConnection } from '../agent-identity/server-connection.js';
import { attestAgent } from './attest-agent.js';
import type { NodeAttestor } from './node-attestor.js';
import type { ServerTrust } from './server-trust.js';

interface AttestationOptions {
  readonly connection: ServerConnection;
  readonly attestor: NodeAttestor;
  readonly trust: Pick<ServerTrust, 'establish' | 'bootstrapAnew'>;
  readonly rebootstrap: Pick<Rebootstrap, 'isDue' | 'observe' | 'confirm' | 'review'>;
  readonly trustDomain: TrustDomain;
  readonly log: Logger;
}

/** @returns the attempt, which throws BonafideError with the reason for which it failed. */
export function createAttestation(
  options: AttestationOptions,
): (signal: AbortSignal) => Promise<AgentIdentity> {
  const { rebootstrap, trust, ...attestation } = options;
  return async (signal) => {
    if (!rebootstrap.isDue) {
      await trust.establish(signal);
      try {
        const identity = await attestAgent({ ...attestation, signal });
        rebootstrap.confirm();
        rebootstrap.review(identity.canReattest);
        return identity;
      } catch (error) {
        rebootstrap.observe(error);
        throw error;
      }
    }
    // What is held stays until the server has proven itself under the new: it may have been a stranger that answered all the time.
    const fresh = await trust.bootstrapAnew(signal);
    try {
      const identity = await attestAgent({ ...attestation, authorities: fresh.authorities, signal });
      await fresh.accept();
      rebootstrap.confirm();
      return identity;
    } catch (error) {
      if (isUnknownAuthority(error)) {
        options.log.error(
          { place: fresh.place },
          "the bootstrap source does not vouch for the server either; put the output of 'bonafide-server bundle show' of the present server there",
        );
      }
      throw error;
    }
  };
}
