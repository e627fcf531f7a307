/** The outcome of a delivery in words, and as an object for JSON. */
import type { JsonValue } from '@bonafide/shared/cli/output';
import { rfc3339 } from '@bonafide/shared/cli/rfc3339';
import { counted } from '../printed-words.js';
import type { DeliveryOutcome, UndeliveredAgent } from './await-delivery.js';

const MOST_LINES = 20;

export function deliveryText({ concerned, delivered, elapsedMs, undelivered }: DeliveryOutcome): string {
  if (concerned === 0) return 'No agent is concerned, so there was nothing to wait for\n';
  const summary = `Delivered to ${delivered} of ${counted(concerned, 'agent', 'agents')} in ${elapsedText(elapsedMs)}`;
  if (undelivered.length === 0) return `${summary}\n`;
  const lines = undelivered
    .slice(0, MOST_LINES)
    .map(({ agent, ...rest }) => `  ${agent.agentId}: ${reasonText({ agent, ...rest })}`);
  const more = undelivered.length - lines.length;
  if (more > 0) lines.push(`  and ${more} more`);
  return `${summary}; not delivered:\n${lines.join('\n')}\n`;
}

export function deliveryJson(outcome: DeliveryOutcome): JsonValue {
  return {
    concerned: outcome.concerned,
    delivered: outcome.delivered,
    elapsed_ms: Math.round(outcome.elapsedMs),
    revisions: outcome.revisions,
    undelivered: outcome.undelivered.map(undeliveredJson),
  };
}

function undeliveredJson({ agent, revision }: UndeliveredAgent): JsonValue {
  const { agentId, behind, offline } = agent;
  if (behind) {
    const { appliedRevision, serverId } = behind;
    const detail = { applied_revision: appliedRevision, server_id: serverId };
    return { agent_id: agentId, behind: detail, revision };
  }
  const detail = { is_exact: offline?.isExact ?? false, since: rfc3339(offline?.since ?? 0) };
  return { agent_id: agentId, offline: detail, revision };
}

function reasonText({ agent: { behind, offline }, revision }: UndeliveredAgent): string {
  if (behind) {
    const where = behind.serverId === '' ? '' : ` at server ${behind.serverId}`;
    if (behind.appliedRevision === 0) return `connected, holds nothing yet${where}`;
    return `behind by ${counted(revision - behind.appliedRevision, 'revision', 'revisions')}${where}`;
  }
  if (offline?.isExact === true) return `offline since ${rfc3339(offline.since)}`;
  return `offline, not heard of since the server started (${rfc3339(offline?.since ?? 0)})`;
}

function elapsedText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}
