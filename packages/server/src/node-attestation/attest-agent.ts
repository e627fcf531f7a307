/** A node proves itself and its agent receives an SVID: evidence, then one transaction that spends, signs and records. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { pathOf, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { IssuedX509Svid, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import type { Store } from '../store/store.js';
import type { NodeAttestor } from './node-attestor.js';

export interface AgentAttestationOptions {
  readonly trustDomain: TrustDomain;
  /** By attestation type. */
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly issuer: X509SvidIssuer;
  readonly store: Store;
  readonly agentTtlSeconds: number;
  readonly clock: Clock;
}

export interface AttestationAttempt {
  readonly type: string;
  readonly payload: Buffer;
  readonly csr: Buffer;
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

export interface AttestedAgent {
  readonly agentId: SpiffeId;
  readonly svid: IssuedX509Svid;
  readonly canReattest: boolean;
}

/** More than any attestor needs; an agent cannot keep a round going for ever. */
const MOST_CHALLENGES = 16;

/**
 * @throws BonafideError `failed_precondition` for a type that is not enabled; `agent_banned`; whatever the attestor refuses with. After
 * a refusal nothing has changed: what can be spent once is unspent.
 */
export async function attestAgent(
  attempt: AttestationAttempt,
  { trustDomain, attestors, issuer, store, agentTtlSeconds, clock }: AgentAttestationOptions,
): Promise<AttestedAgent> {
  const { type, payload, csr } = attempt;
  const attestor = attestors.get(type);
  if (attestor === undefined) {
    throw new BonafideError(
      'failed_precondition',
      `error getting node attestor: could not find node attestor type ${JSON.stringify(type.slice(0, 64))}; enabled are ${[...attestors.keys()].join(', ') || 'none'}`,
    );
  }
  const proven = await attestor.attest({
    payload,
    csrHash: createHash('sha256').update(csr).digest(),
    now: clock.now(),
    challenge: limitChallenges(attempt.challenge),
    recall: () => Promise.resolve(undefined),
  });
  const { agentId, canReattest } = proven;
  checkAgentId(agentId, trustDomain, type);

  // Signing happens inside, for a token must not be lost to a bad CSR, nor a certificate made for a token that was spent before.
  return store.write(async (transaction) => {
    await proven.spend?.(transaction);
    const present = await transaction.nodes.get(agentId);
    if (present?.isBanned === true) {
      throw new BonafideError('agent_banned', 'failed to attest: agent is banned');
    }
    const svid = await issuer.issue({ csr, spiffeId: agentId, dnsNames: [], ttlSeconds: agentTtlSeconds });
    await transaction.nodes.put({
      agentId,
      attestationType: type,
      serialNumber: svid.serialNumber,
      expiresAt: svid.notAfter,
      nextSerialNumber: undefined,
      nextExpiresAt: undefined,
      selectors: normalizeSelectors(proven.selectors),
      isBanned: false,
      quarantine: undefined,
      canReattest,
      agentVersion: present?.agentVersion,
    });
    return { agentId, svid, canReattest };
  });
}

function limitChallenges(challenge: (data: Buffer) => Promise<Buffer>): (data: Buffer) => Promise<Buffer> {
  let left = MOST_CHALLENGES;
  return (data) => {
    left -= 1;
    if (left < 0)
      throw new BonafideError('internal', `the node attestor asked more than ${MOST_CHALLENGES} times`);
    return challenge(data);
  };
}

/** An attestor's mistake must not let one kind of evidence speak for another kind of node, or for the server. */
function checkAgentId(agentId: SpiffeId, trustDomain: TrustDomain, type: string): void {
  if (trustDomainOf(agentId) !== trustDomain || !pathOf(agentId).startsWith(`/spire/agent/${type}/`)) {
    throw new BonafideError('internal', `the node attestor ${type} produced the agent ID ${agentId}`);
  }
}
