/** What the server knows of nodes beyond what SPIRE's API has words for; nothing from a server that does not know it either. */
import type { JsonValue } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Finding__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/Finding';
import type { NodeState__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import type { SPIFFEID__Output } from '@bonafide/shared/rpc/gen/spire/api/types/SPIFFEID';
import { listPages } from '../list-pages.js';
import { printedId, printedTime } from '../printed-words.js';
import type { ServerConnection } from '../server-connection.js';
import { labelled } from './agent-text.js';

const SERVICE = 'bonafide.attestation.v1.NodeAdmission';

export async function fetchNodeState(
  server: ServerConnection,
  id: SPIFFEID__Output,
): Promise<NodeState__Output | undefined> {
  try {
    return await server.call(SERVICE, 'getNodeState', { id });
  } catch (error) {
    // A scoped admin sees agents, and not what their nodes have proved.
    if (hasReason(error, 'unimplemented', 'not_found', 'permission_denied')) return undefined;
    throw error;
  }
}

/** Those in quarantine, by SPIFFE ID. */
export async function fetchQuarantined(
  server: ServerConnection,
): Promise<ReadonlyMap<string, NodeState__Output>> {
  try {
    const agents = await listPages(async (page) => {
      const { agents: items, nextPageToken } = await server.call(SERVICE, 'listQuarantinedAgents', page);
      return { items, nextPageToken };
    });
    return new Map(agents.map((agent) => [printedId(agent.id), agent]));
  } catch (error) {
    if (hasReason(error, 'unimplemented', 'permission_denied')) return new Map();
    throw error;
  }
}

/** As a field of another message in JSON. */
export function nodeStateJson(state: NodeState__Output): Readonly<Record<string, JsonValue>> {
  return { node_state: protoJson(SERVICE, 'bonafide.attestation.v1.NodeState', state) };
}

/** Empty for a node of which there is nothing to say. */
export function nodeStateText(state: NodeState__Output): string {
  const { lastProvenAt, proofRequestedAt, facts, digest } = state;
  const isProven = lastProvenAt > 0 || facts.length > 0;
  return [
    isProven || state.isQuarantined ? labelled('Node state', wordsOf(state)) : '',
    isProven ? labelled('Last proven', lastProvenAt === 0 ? 'never' : timeText(lastProvenAt)) : '',
    proofRequestedAt === 0 ? '' : labelled('Proof asked for', timeText(proofRequestedAt)),
    ...state.findings.map(findingText),
    ...facts.map(({ name, value }) => labelled('Fact', `${name}: ${value}`)),
    digest === '' ? '' : labelled('State digest', digest),
  ].join('');
}

/** `since …`, for a list. */
export function quarantineText({ quarantinedAt }: NodeState__Output): string {
  return labelled('In quarantine', `since ${timeText(quarantinedAt)}`);
}

function wordsOf({ isQuarantined, quarantinedAt, lastProvenAt }: NodeState__Output): string {
  if (isQuarantined) return `in quarantine since ${timeText(quarantinedAt)}`;
  return lastProvenAt === 0 ? 'not proven yet' : 'as it must be';
}

function findingText({ kind, text, before, after, event }: Finding__Output): string {
  return [
    labelled('Finding', `${kind}: ${text}`),
    before === '' ? '' : labelled('  before', before),
    after === '' ? '' : labelled('  after', after),
    event === '' ? '' : labelled('  event', event),
  ].join('');
}

function timeText(unixMilliseconds: number): string {
  return printedTime(Math.floor(unixMilliseconds / 1000));
}
