/** What is known of attested nodes, and what is held against them, on the wire. */
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { Finding } from '../gen/bonafide/attestation/v1/Finding.js';
import type { NodeState } from '../gen/bonafide/attestation/v1/NodeState.js';
import { spiffeIdToProto } from './spiffe-id.js';

interface ShownFinding {
  readonly kind: string;
  readonly text: string;
  readonly bank?: string | undefined;
  readonly pcr?: number | undefined;
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  readonly event?: string | undefined;
}

interface ShownNode {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  readonly quarantine: { readonly since: Date; readonly findings: readonly ShownFinding[] } | undefined;
  readonly provenAt?: Date | undefined;
  readonly requestedAt?: Date | undefined;
  readonly facts?: readonly { readonly name: string; readonly value: string }[];
  readonly digest?: string | undefined;
}

export function nodeStateToProto(node: ShownNode): NodeState {
  const { agentId, attestationType, quarantine, provenAt, requestedAt, facts = [], digest } = node;
  return {
    id: spiffeIdToProto(agentId),
    attestationType,
    lastProvenAt: provenAt?.getTime() ?? 0,
    isQuarantined: quarantine !== undefined,
    quarantinedAt: quarantine?.since.getTime() ?? 0,
    findings: quarantine?.findings.map(findingToProto) ?? [],
    facts: facts.map(({ name, value }) => ({ name, value })),
    proofRequestedAt: requestedAt?.getTime() ?? 0,
    digest: digest ?? '',
  };
}

export function findingToProto({ kind, text, bank, pcr, before, after, event }: ShownFinding): Finding {
  return {
    kind,
    text,
    bank: bank ?? '',
    pcr: pcr ?? 0,
    before: before ?? '',
    after: after ?? '',
    event: event ?? '',
  };
}
