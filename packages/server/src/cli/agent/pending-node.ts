/** A node that asks to be let in, as lines for people. */
import type { PendingNode__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/PendingNode';
import { printedId, printedTime } from '../printed-words.js';
import { labelled } from './agent-text.js';

/** Ends with an empty line. */
export function pendingNodeText(node: PendingNode__Output): string {
  const { attestationType, selectors, address, decisions, digest } = node;
  return `${[
    labelled('SPIFFE ID', printedId(node.id)),
    labelled('Attestation type', attestationType),
    ...selectors.map(({ type, value }) => labelled('Selectors', `${type}:${value}`)),
    labelled('Address', address),
    labelled('State', stateText(node)),
    ...decisions.map(({ by, isApproval, at, reason }) => {
      const words = `${isApproval ? 'approved' : 'denied'} by ${by} at ${timeText(at)}`;
      return labelled('Decision', reason === '' ? words : `${words}: ${reason}`);
    }),
    labelled('First asked', timeText(node.firstAskedAt)),
    labelled('Last asked', timeText(node.lastAskedAt)),
    labelled('Forgotten', timeText(node.expiresAt)),
    labelled('Request digest', digest),
  ].join('')}\n`;
}

/** The digest stands under the ID: `agent approve` takes both. */
export function pendingNodeTable(nodes: readonly PendingNode__Output[]): {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  return {
    headings: ['SPIFFE ID and request digest', 'Evidence', 'Address', 'State', 'First asked'],
    rows: nodes.map((node) => [
      `${printedId(node.id)}\n${node.digest}`,
      [node.attestationType, ...node.selectors.map(({ type, value }) => `${type}:${value}`)].join('\n'),
      node.address,
      stateText(node),
      timeText(node.firstAskedAt),
    ]),
  };
}

function stateText({ state, decisions, approvalsNeeded }: PendingNode__Output): string {
  if (state !== 'pending' || approvalsNeeded < 2) return state;
  return `${state} (${decisions.length} of ${approvalsNeeded} approvals)`;
}

function timeText(unixMilliseconds: number): string {
  return printedTime(Math.floor(unixMilliseconds / 1000));
}
