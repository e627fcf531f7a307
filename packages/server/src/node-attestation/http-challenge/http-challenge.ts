/** Attestation by HTTP challenge: the node at a DNS name is the one that shows our nonce there. IDs and selectors are SPIRE's. */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseHttpChallengeEvidence } from '@bonafide/shared/node-attestation/http-challenge-messages';
import { createSelector } from '@bonafide/shared/registration/selector';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { expectNonce, type ResolveName } from './call-back.js';
import { checkHostName, parseHostName } from './host-name.js';
import { httpChallengeConfigSchema, portProblem, type HttpChallengeConfig } from './http-challenge-config.js';

const TYPE = 'http_challenge';
const NONCE_BYTES = 32;

/** What tests set otherwise. */
interface HttpChallengeWorld {
  readonly resolve?: ResolveName;
  readonly limitMs?: number;
}

export const httpChallenge: NodeAttestorPlugin<HttpChallengeConfig> = {
  configSchema: httpChallengeConfigSchema,
  create: (config, host) => createHttpChallenge(config, host),
};

export function createHttpChallenge(
  config: HttpChallengeConfig,
  { trustDomain, clock, signal }: Pick<NodeAttestorHost, 'trustDomain' | 'clock' | 'signal'>,
  { resolve = resolveBySystem, limitMs }: HttpChallengeWorld = {},
): NodeAttestor {
  return {
    async attest({ payload, challenge }) {
      const evidence = parseHttpChallengeEvidence(payload);
      const problem = portProblem(evidence.port, config);
      if (problem !== undefined) throw invalidArgument(problem);
      const hostname = parseHostName(evidence.hostname);
      checkHostName(hostname, config.allowed_dns_patterns);

      // Go's URL-safe base64, with its padding.
      const nonce = randomBytes(NONCE_BYTES).toString('base64').replace(/\+/g, '-').replace(/\//g, '_');
      // What is answered does not matter: it says that the page can be called.
      await challenge(Buffer.from(JSON.stringify({ nonce })));
      await expectNonce(nonce, {
        ...{ node: { ...evidence, hostname }, allowedNetworks: config.allowed_networks },
        ...{ resolve, clock, signal, limitMs },
      });
      return {
        agentId: agentId(trustDomain, TYPE, hostname),
        selectors: [createSelector(TYPE, `hostname:${hostname}`)],
        canReattest: !config.tofu,
        isTrustedOnFirstUse: config.tofu,
      };
    },
  };
}

/** As every program of this machine resolves it, hosts file included. */
function resolveBySystem(hostname: string): ReturnType<ResolveName> {
  return lookup(hostname, { all: true, verbatim: true });
}
