/** Attested nodes into the registry: an agent whose serial number we know goes on with its SVID. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AttestedNode } from '../store/node-record.js';
import type { WriteTransaction } from '../store/store.js';
import { NOTHING, type Tally } from './import-report.js';
import { isSameNode } from './same-records.js';

export interface NodeImportOptions {
  readonly transaction: Pick<WriteTransaction, 'nodes'>;
  readonly nodes: readonly AttestedNode[];
  readonly prune: boolean;
}

export async function importNodes({ transaction, nodes, prune }: NodeImportOptions): Promise<Tally> {
  const ours = new Map<SpiffeId, AttestedNode>();
  for await (const batch of transaction.nodes.all()) for (const node of batch) ours.set(node.agentId, node);
  const tally = { ...NOTHING };
  for (const theirs of nodes) {
    const present = ours.get(theirs.agentId);
    ours.delete(theirs.agentId);
    const merged = present === undefined ? theirs : newerOf(present, theirs);
    if (present !== undefined && isSameNode(present, merged)) {
      if (isSameNode(present, theirs)) tally.unchanged += 1;
      else tally.newerHere += 1;
      continue;
    }
    await transaction.nodes.put(merged);
    if (present === undefined) tally.created += 1;
    else tally.updated += 1;
  }
  if (!prune) return { ...tally, onlyHere: ours.size };
  for (const agentId of ours.keys()) await transaction.nodes.delete(agentId);
  return { ...tally, pruned: ours.size };
}

/** Whichever SVID ends later is the later one; who was banned here stays so until an operator evicts it. */
function newerOf(ours: AttestedNode, theirs: AttestedNode): AttestedNode {
  if (ours.isBanned || endOf(theirs) < endOf(ours)) return ours;
  // What a node is in quarantine for, SPIRE knows nothing of.
  return { ...theirs, quarantine: ours.quarantine };
}

function endOf({ expiresAt, nextExpiresAt }: AttestedNode): number {
  return Math.max(expiresAt.getTime(), nextExpiresAt?.getTime() ?? 0);
}
