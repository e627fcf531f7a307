/** Join tokens that SPIRE gave out and nobody used yet: kept here by their hash. */
import { agentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { JoinToken } from '../store/join-token-record.js';
import type { WriteTransaction } from '../store/store.js';
import { NOTHING, type Tally } from './import-report.js';
import type { Findings } from './spire-state.js';

export interface JoinTokenImportOptions {
  readonly transaction: Pick<WriteTransaction, 'joinTokens' | 'nodes'>;
  readonly joinTokens: readonly JoinToken[];
  readonly trustDomain: TrustDomain;
  readonly now: Date;
  readonly findings: Findings;
}

export async function importJoinTokens(options: JoinTokenImportOptions): Promise<Tally> {
  const { transaction, joinTokens, trustDomain, now, findings } = options;
  const tally = { ...NOTHING };
  let expired = 0;
  for (const token of joinTokens) {
    const agent = agentOf(trustDomain, token.token);
    // One of that ID has spent it, here or there: it is good for one agent.
    const isSpent = agent === undefined || (await transaction.nodes.get(agent)) !== undefined;
    if (token.expiresAt <= now) expired += 1;
    else if (isSpent || (await transaction.joinTokens.has(token.token))) tally.unchanged += 1;
    else {
      await transaction.joinTokens.create(token);
      tally.created += 1;
    }
  }
  if (expired > 0) {
    findings.add({
      kind: 'join_tokens',
      name: undefined,
      reason: `${expired} have expired`,
      remedy: 'make new ones for nodes that still wait: bonafide-server token generate',
    });
  }
  return tally;
}

/** Undefined for a token that could name no agent, and so attests none. */
function agentOf(trustDomain: TrustDomain, token: string): SpiffeId | undefined {
  try {
    return agentId(trustDomain, 'join_token', token);
  } catch (error) {
    if (error instanceof BonafideError) return undefined;
    throw error;
  }
}
