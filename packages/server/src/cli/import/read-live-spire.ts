/** What a SPIRE server that runs tells by its admin API: less than its datastore does. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { validateEntry } from '../../registration/validate-entry.js';
import type { CaJournal } from '../../spire-import/ca-journal.js';
import { Findings, type SpireState } from '../../spire-import/spire-state.js';
import { reasonOf } from '../../spire-import/spire-values.js';
import { ServerConnection } from '../server-connection.js';
import { listRegistry } from './list-registry.js';

export interface LiveReadingOptions {
  readonly socketPath: string;
  readonly trustDomain: TrustDomain;
  /** Of a file. */
  readonly journals: readonly CaJournal[];
  readonly onRead: (count: number) => void;
}

/** @throws BonafideError `failed_precondition` for a server of another trust domain. */
export async function readLiveSpire(options: LiveReadingOptions): Promise<SpireState> {
  const { socketPath, trustDomain, journals, onRead } = options;
  const server = new ServerConnection(socketPath);
  try {
    const registry = await listRegistry(server, onRead);
    if (registry.bundle.trustDomain !== trustDomain) {
      throw new BonafideError(
        'failed_precondition',
        `the server at ${socketPath} is of trust domain ${registry.bundle.trustDomain}; expected ${trustDomain}, the trust domain of the configuration`,
      );
    }
    const findings = new Findings();
    const entries = registry.entries.filter((entry) => {
      try {
        validateEntry(entry, trustDomain);
        return true;
      } catch (error) {
        const reason = reasonOf(error);
        findings.add({
          kind: 'entries',
          name: entry.id,
          reason,
          remedy: 'correct it at SPIRE, or create it here',
        });
        return false;
      }
    });
    findings.add({
      kind: 'join_tokens',
      name: undefined,
      reason: 'the API does not tell of them',
      remedy: 'import from the datastore, or make new ones: bonafide-server token generate',
    });
    findings.add({
      kind: 'agents',
      name: undefined,
      reason: 'the API does not tell of SVIDs that were renewed in the last seconds',
      remedy: 'import from the datastore after SPIRE is stopped: that has all of them',
    });
    return {
      ...registry,
      source: `the SPIRE server at ${socketPath}`,
      schema: undefined,
      trustDomain,
      entries,
      joinTokens: [],
      journals,
      notCarried: findings.all,
    };
  } finally {
    server.close();
  }
}
