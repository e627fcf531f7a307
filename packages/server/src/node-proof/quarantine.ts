/** What it means for a node to be in quarantine: how it comes in, what is held against it, and in which words its agent is told. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AttestedNode, NodeFinding, Quarantine } from '../store/node-record.js';

const MOST_FINDINGS = 64;
const LONGEST_TEXT = 4_000;

export type QuarantinedNode = AttestedNode & { readonly quarantine: Quarantine };

/**
 * What is held against a node that proved itself with these findings. In quarantine it stays until it is released: what operators said of it
 * stands, the rest is replaced by what was found now, and stands as well when nothing was.
 */
export function quarantineAfterProof(
  present: Quarantine | undefined,
  findings: readonly NodeFinding[],
  now: Date,
): Quarantine | undefined {
  if (findings.length === 0) return present;
  const said = present?.findings.filter(({ kind }) => kind === 'operator') ?? [];
  return quarantine(present, [...said, ...findings], now);
}

/** What is held against a node of which more is known now, beside what was. */
export function quarantineWith(present: Quarantine | undefined, finding: NodeFinding, now: Date): Quarantine {
  return quarantine(present, [...(present?.findings ?? []), finding], now);
}

function quarantine(
  present: Quarantine | undefined,
  findings: readonly NodeFinding[],
  now: Date,
): Quarantine {
  return { since: present?.since ?? now, findings: findings.slice(-MOST_FINDINGS).map(bounded) };
}

/** Of what an attestor found or somebody typed; the whole is kept in memory and sent to operators. */
function bounded(finding: NodeFinding): NodeFinding {
  const cut = (text: string | undefined): string | undefined => text?.slice(0, LONGEST_TEXT);
  const { text, before, after, event } = finding;
  return {
    ...finding,
    text: text.slice(0, LONGEST_TEXT),
    ...(before === undefined ? {} : { before: cut(before) }),
    ...(after === undefined ? {} : { after: cut(after) }),
    ...(event === undefined ? {} : { event: cut(event) }),
  };
}

export function inQuarantine(agentId: SpiffeId): BonafideError {
  return new BonafideError(
    'agent_quarantined',
    `agent ${agentId} is in quarantine until an operator has looked at it and releases it`,
  );
}

/** Why a node that holds nothing to lose is turned away. */
export function textOfFindings(findings: readonly NodeFinding[]): string {
  return findings
    .slice(0, MOST_FINDINGS)
    .map(({ text }) => text.slice(0, LONGEST_TEXT))
    .join('; ')
    .slice(0, LONGEST_TEXT);
}
