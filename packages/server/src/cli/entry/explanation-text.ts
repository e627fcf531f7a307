/** An entry explained, in the order in which it travels: what it is, where it hangs, whom it reaches, who presents its selectors. */
import type { EntryAgent__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryAgent';
import type { ExplainedEntry__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/ExplainedEntry';
import type { ParentEntry__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/ParentEntry';
import type { RelatedEntry__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/RelatedEntry';
import { counted, printedId, printedTime } from '../printed-words.js';

const MOST_LINES = 20;
const AGENT_WORDS = {
  HOLDS: 'holds it',
  NOT_YET: 'is connected and does not hold it yet; look at its log if that lasts',
  AWAY: 'is not connected; start it, or look at its log',
  UNKNOWN: 'may hold it; it is in touch with another server, or was not heard of for long',
  WITHHELD: "is banned or in quarantine; look at it with 'bonafide-server agent show'",
} as const satisfies Record<EntryAgent__Output['state'], string>;

export function explanationText(explained: ExplainedEntry__Output): string {
  const { entry } = explained;
  const lines = [
    `${printedId(entry?.spiffeId ?? null)} (entry ${entry?.id ?? ''})`,
    ...expiryLines(explained),
    ...parentLines(explained),
    ...agentLines(explained),
    ...selectorLines(explained),
    ...explained.missingBundles.map(
      (name) =>
        `it federates with ${name}, of which the server has no bundle: set it with 'bonafide-server bundle set --id spiffe://${name}'`,
    ),
    ...explained.related.map(relatedLine),
  ];
  return lines.map((line, index) => (index === 0 ? `${line}\n` : `  ${line}\n`)).join('');
}

function expiryLines({ entry, isExpired }: ExplainedEntry__Output): readonly string[] {
  if (entry === null || entry.expiresAt === 0) return [];
  const time = printedTime(entry.expiresAt);
  return [
    isExpired
      ? `it expired at ${time} and gives nothing: give it more time with 'entry update --entry-expiry'`
      : `it expires at ${time}`,
  ];
}

function parentLines({ entry, isNodeAlias, parent }: ExplainedEntry__Output): readonly string[] {
  const agent = parent?.agent ?? null;
  const above = parent?.entries ?? [];
  if (isNodeAlias) {
    return [
      'it is a node alias: it gives its SPIFFE ID to nodes, and entries hang under it',
      ...above.flatMap(nearLines),
    ];
  }
  const parentId = printedId(entry?.parentId ?? null);
  if (agent === null && above.length === 0) {
    return [
      `its parent ${parentId} is neither an attested node nor an entry: nobody gets it; 'agent list' and 'entry show' tell what there is`,
    ];
  }
  const lines = above.flatMap((each) => [
    `its parent ${parentId} is ${each.isNodeAlias ? 'the node alias' : 'entry'} ${each.entryId}, which leads to ${counted(each.agents, 'agent', 'agents')}${each.isExpired ? ', and has expired: nothing under it is given' : ''}`,
    ...nearLines(each),
  ]);
  if (agent === null) return lines;
  const state = agent.isBanned
    ? "which is banned: 'agent evict' lets it attest again"
    : agent.isQuarantined
      ? "which is in quarantine: 'agent show' tells why, 'agent release' ends it"
      : agent.isExpired
        ? `whose own SVID ended at ${printedTime(agent.expiresAt)}: start it, so that it attests again`
        : 'which is attested';
  return [...lines, `its parent is the agent ${parentId}, ${state}`];
}

function nearLines({ agents, isNodeAlias, near }: ParentEntry__Output): readonly string[] {
  if (!isNodeAlias || agents > 0) return [];
  if (near.length === 0) return ['  no node has any of the selectors of the alias'];
  return [
    '  no node has all selectors of the alias; the nearest',
    ...near.map(({ agentId, missing }) => `    ${agentId} lacks ${selectorsText(missing)}`),
  ];
}

function agentLines({ agentCount, agents, isNodeAlias }: ExplainedEntry__Output): readonly string[] {
  if (isNodeAlias) {
    if (agentCount === 0) return ['no node has it'];
    return [`${counted(agentCount, 'node', 'nodes')} ${agentCount === 1 ? 'has' : 'have'} it`];
  }
  const shown = agents.slice(0, MOST_LINES).map(({ agentId, state, since }) => {
    const when = state === 'AWAY' && since > 0 ? ` since ${printedTime(since)}` : '';
    return `  ${agentId} ${AGENT_WORDS[state].replace('not connected', `not connected${when}`)}`;
  });
  const withheld = agents.filter(({ state }) => state === 'WITHHELD').length;
  const more = agentCount + withheld - shown.length;
  return [
    agentCount === 0 ? 'no agent may serve it' : `${counted(agentCount, 'agent', 'agents')} may serve it`,
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function selectorLines({ selectors, isNodeAlias }: ExplainedEntry__Output): readonly string[] {
  return selectors.map(({ selector, nodes, lastSeen, agentId }) => {
    const text = selectorsText(selector === null ? [] : [selector]);
    if (isNodeAlias) return `${text} is had by ${counted(nodes, 'node', 'nodes')}`;
    return lastSeen === 0
      ? `${text} was never presented by a process, as far as agents have told: 'bonafide-agent explain' on the node tells what a process presents`
      : `${text} was last presented in the hour from ${printedTime(lastSeen)}, on ${agentId}`;
  });
}

function relatedLine({ kind, entryId, spiffeId, hint, servedEntryId }: RelatedEntry__Output): string {
  switch (kind) {
    case 'DUPLICATE':
      return `the same processes get the same SPIFFE ID by entry ${entryId} too: one of the two may go`;
    case 'SAME_HINT':
      return `the same processes earn ${spiffeId} by entry ${entryId} with the same hint ${JSON.stringify(hint)}, and are given entry ${servedEntryId} only: give one of them another hint`;
    case 'ALSO_GIVES':
      return `the same processes also get ${spiffeId} by entry ${entryId}${hint === '' ? '' : `, hint ${JSON.stringify(hint)}`}: one that takes the first SVID may take either`;
  }
}

function selectorsText(selectors: readonly { readonly type: string; readonly value: string }[]): string {
  return selectors.map(({ type, value }) => `${type}:${value}`).join(', ');
}
