/** A node proves itself and its agent receives an SVID: evidence, then one transaction that spends, signs and records. */
import { createHash } from 'node:crypto';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AdmissionGate } from '../node-admission/admission-gate.js';
import type { AskingNode } from '../node-admission/admission-request.js';
import type { IssuedX509Svid, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import { BY_SERVER, isRefusal, type NodeNotices } from '../node-proof/node-notices.js';
import {
  inQuarantine,
  quarantineAfterProof,
  textOfFindings,
  type QuarantinedNode,
} from '../node-proof/quarantine.js';
import type { AttestedNode, Quarantine } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import type { AttestationResult } from '../telemetry/metrics.js';
import { checkProvenId } from './check-proven-id.js';
import { limitChallenges } from './limit-challenges.js';
import type { NodeAttestor, ProvenNode } from './node-attestor.js';

export interface AgentAttestationOptions {
  readonly trustDomain: TrustDomain;
  /** By attestation type. */
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly issuer: X509SvidIssuer;
  readonly store: Store;
  readonly agentTtlSeconds: number;
  readonly notices: NodeNotices;
  readonly admission: AdmissionGate;
  readonly clock: Clock;
}

export interface AttestationAttempt {
  readonly type: string;
  readonly payload: Buffer;
  readonly csr: Buffer;
  /** From which the agent calls. */
  readonly address: string;
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

export interface AttestedAgent {
  readonly agentId: SpiffeId;
  readonly svid: IssuedX509Svid;
  readonly canReattest: boolean;
}

/**
 * @throws BonafideError `failed_precondition` for a type that is not enabled; `agent_banned`; `agent_quarantined` for a node that is in
 * quarantine, or goes into it for what was found; `agent_pending` for one that is new and has to be let in; whatever the attestor refuses with. After any other refusal nothing has changed: what can
 * be spent once is unspent.
 */
export async function attestAgent(
  attempt: AttestationAttempt,
  options: AgentAttestationOptions,
): Promise<AttestedAgent> {
  const { attestors, notices } = options;
  const { type } = attempt;
  const attestor = attestors.get(type);
  if (attestor === undefined) {
    throw new BonafideError(
      'failed_precondition',
      `error getting node attestor: could not find node attestor type ${JSON.stringify(type.slice(0, 64))}; enabled are ${[...attestors.keys()].join(', ') || 'none'}`,
    );
  }
  try {
    const attested = await attestWith(attestor, attempt, options);
    notices.attestation(type, 'attested');
    return attested;
  } catch (error) {
    notices.attestation(type, resultOf(error));
    throw error;
  }
}

function resultOf(error: unknown): AttestationResult {
  if (hasReason(error, 'agent_quarantined')) return 'quarantined';
  if (hasReason(error, 'agent_pending')) return 'pending';
  return isRefusal(error) ? 'refused' : 'failed';
}

async function attestWith(
  attestor: NodeAttestor,
  attempt: AttestationAttempt,
  options: AgentAttestationOptions,
): Promise<AttestedAgent> {
  const { trustDomain, store, clock, notices } = options;
  const { type, payload, csr } = attempt;
  const recalled = new Map<SpiffeId, string | undefined>();
  const proven = await attestor.attest({
    payload,
    csrHash: createHash('sha256').update(csr).digest(),
    now: clock.now(),
    challenge: limitChallenges(attempt.challenge),
    recall: async (agentId) => {
      const record = (await store.nodeProofs.get(agentId))?.record;
      recalled.set(agentId, record);
      return record;
    },
  });
  checkProvenId(proven, { trustDomain, type, types: options.attestors });
  await turnAwayUnknown(proven, type, options);
  const { agentId, selectors } = proven;
  const asking = { agentId, attestationType: type, selectors, address: attempt.address };
  const outcome = await onceAdmitted(options.admission, asking, () =>
    store.write((transaction) => settle(transaction, { type, csr, proven, recalled, asking }, options)),
  );
  if (outcome.kind === 'attested') return outcome.agent;
  await notices.quarantined(outcome.node, outcome.before, BY_SERVER);
  throw inQuarantine(proven.agentId);
}

/** Who holds nothing that could be withdrawn is given nothing. */
async function turnAwayUnknown(
  { agentId, findings = [] }: ProvenNode,
  type: string,
  { store, notices }: AgentAttestationOptions,
): Promise<void> {
  if (findings.length === 0 || (await store.nodes.get(agentId)) !== undefined) return;
  await notices.turnedAway(agentId, type, findings);
  throw new BonafideError(
    'permission_denied',
    `failed to attest: the node is not in the state that it must be in: ${textOfFindings(findings)}`,
  );
}

/** Only a node that could come in this moment is asked about, so that made-up evidence (a join token) never is. */
async function onceAdmitted(
  admission: AdmissionGate,
  asking: AskingNode,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    if (!hasReason(error, 'agent_pending')) throw error;
  }
  await admission.ask(asking);
  return work();
}

interface ProvenAttempt {
  readonly type: string;
  readonly csr: Buffer;
  readonly proven: ProvenNode;
  /** What the attestor was told of each agent that it asked for. */
  readonly recalled: ReadonlyMap<SpiffeId, string | undefined>;
  readonly asking: AskingNode;
}

type Outcome =
  | { readonly kind: 'attested'; readonly agent: AttestedAgent }
  | {
      readonly kind: 'quarantined';
      readonly node: QuarantinedNode;
      readonly before: Quarantine | undefined;
    };

/** Signing happens inside, for a token must not be lost to a bad CSR, nor a certificate made for a token that was spent before. */
async function settle(
  transaction: WriteTransaction,
  { type, csr, proven, recalled, asking }: ProvenAttempt,
  { issuer, agentTtlSeconds, clock, admission }: AgentAttestationOptions,
): Promise<Outcome> {
  const { agentId, canReattest, findings = [] } = proven;
  const present = await transaction.nodes.get(agentId);
  if (present === undefined && findings.length > 0) throw gone(agentId);
  await proven.spend?.(transaction);
  if (present !== undefined) checkPresent(present, proven, type);
  const admitted = present === undefined ? await admission.admit(transaction, asking) : undefined;
  await noteRecord(transaction, proven, recalled, clock.now());
  const quarantine = quarantineAfterProof(present?.quarantine, findings, clock.now());
  if (present !== undefined && quarantine !== undefined) {
    const node = { ...present, quarantine };
    await transaction.nodes.put(node);
    return { kind: 'quarantined', node, before: present.quarantine };
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
  if (admitted !== undefined) await admission.admitted(admitted);
  return { kind: 'attested', agent: { agentId, svid, canReattest } };
}

function checkPresent(present: AttestedNode, proven: ProvenNode, type: string): void {
  const { agentId, attestationType } = present;
  if (present.isBanned) throw new BonafideError('agent_banned', 'failed to attest: agent is banned');
  if (attestationType !== type) {
    throw new BonafideError(
      'permission_denied',
      `failed to attest: ${agentId} was attested by ${attestationType}; it must be evicted before ${type} may attest it`,
    );
  }
  if (proven.isTrustedOnFirstUse === true) {
    throw new BonafideError(
      'permission_denied',
      `failed to attest: nodeattestor(${type}): attestation data has already been used to attest an agent`,
    );
  }
}

function gone(agentId: SpiffeId): BonafideError {
  return new BonafideError('aborted', `${agentId} was evicted while it attested; attest again`);
}

/** An attestation is a proof as well. */
async function noteRecord(
  { nodeProofs }: WriteTransaction,
  { agentId, record }: ProvenNode,
  recalled: ProvenAttempt['recalled'],
  now: Date,
): Promise<void> {
  if (record === undefined) return;
  const present = await nodeProofs.get(agentId);
  if (recalled.has(agentId) && recalled.get(agentId) !== present?.record) {
    throw new BonafideError('aborted', `what is known of ${agentId} changed while it attested; attest again`);
  }
  await nodeProofs.put({ agentId, provenAt: now, requestedAt: undefined, record });
}
