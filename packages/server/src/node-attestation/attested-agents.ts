/** What happens to agents after they attested: SVIDs renewed and taken into use, versions noted, bans, evictions. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { IssuedX509Svid, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import { inQuarantine } from '../node-proof/quarantine.js';
import type { AttestedNode } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';

export interface AttestedAgentsOptions {
  readonly store: Store;
  readonly issuer: X509SvidIssuer;
  readonly agentTtlSeconds: number;
  /** What is in memory. */
  readonly nodes: { node(agentId: SpiffeId): AttestedNode | undefined };
  readonly log: Logger;
}

const LONGEST_VERSION_CHARACTERS = 255;
const ENTRY_PAGE_SIZE = 500;

export class AttestedAgents {
  readonly #options: AttestedAgentsOptions;
  readonly #activations = new Map<string, Promise<void>>();

  constructor(options: AttestedAgentsOptions) {
    this.#options = options;
  }

  /**
   * A new SVID, which becomes current when the agent first calls with it; until then both are good.
   * @throws BonafideError `agent_must_reattest` for an agent that can prove its node again; `agent_not_attested`, `agent_banned`, `agent_quarantined`.
   */
  async renew(agentId: SpiffeId, csr: Buffer): Promise<IssuedX509Svid> {
    const { store, issuer, agentTtlSeconds, nodes } = this.#options;
    if (nodes.node(agentId)?.canReattest === true) {
      throw new BonafideError('agent_must_reattest', 'agent must reattest instead of renew');
    }
    const svid = await issuer.issue({ csr, spiffeId: agentId, dnsNames: [], ttlSeconds: agentTtlSeconds });
    await store.write(async (transaction) => {
      const node = await existingNode(transaction, agentId);
      if (node.isBanned) throw new BonafideError('agent_banned', `agent ${agentId} is banned`);
      if (node.quarantine !== undefined) throw inQuarantine(agentId);
      await transaction.nodes.put({
        ...node,
        nextSerialNumber: svid.serialNumber,
        nextExpiresAt: svid.notAfter,
      });
    });
    return svid;
  }

  /**
   * The renewed SVID was seen in use: from now on it alone is current. Many calls at once make one write. Without a database both SVIDs
   * stay good, and the next call tries again.
   * @throws BonafideError `agent_not_active` when it no longer is the renewed one.
   */
  activateRenewedSvid(agentId: SpiffeId, serialNumber: string): Promise<void> {
    const key = `${agentId} ${serialNumber}`;
    const underway = this.#activations.get(key);
    if (underway !== undefined) return underway;
    const activation = this.#whenStored(agentId, () => this.#activate(agentId, serialNumber)).finally(() => {
      this.#activations.delete(key);
    });
    this.#activations.set(key, activation);
    return activation;
  }

  /** Some other time when there is no database. @throws BonafideError `invalid_argument` when it is too long; `not_found`. */
  async recordVersion(agentId: SpiffeId, agentVersion: string): Promise<void> {
    if (agentVersion.length > LONGEST_VERSION_CHARACTERS) {
      throw new BonafideError(
        'invalid_argument',
        `agent version is too long (max ${LONGEST_VERSION_CHARACTERS} characters)`,
      );
    }
    const { nodes, store } = this.#options;
    if (nodes.node(agentId)?.agentVersion === agentVersion) return;
    await this.#whenStored(agentId, () =>
      store.write(async (transaction) => {
        await transaction.nodes.put({ ...(await existingNode(transaction, agentId)), agentVersion });
      }),
    );
  }

  /** The agent's calls fail and its streams end from the moment this is committed. @returns the revision. @throws BonafideError `not_found`. */
  async ban(agentId: SpiffeId): Promise<number> {
    return this.#options.store.write(async (transaction) => {
      await transaction.nodes.put({
        ...(await existingNode(transaction, agentId)),
        isBanned: true,
        serialNumber: undefined,
        nextSerialNumber: undefined,
        nextExpiresAt: undefined,
      });
      return transaction.revision;
    });
  }

  /** Forgets the agent; it may attest again. @returns the revision. @throws BonafideError `not_found`. */
  async evict(agentId: SpiffeId): Promise<number> {
    return this.#options.store.write(async (transaction) => {
      await forget(transaction, await existingNode(transaction, agentId));
      return transaction.revision;
    });
  }

  /** As `evict`, for an agent of which `mayGo` holds at that moment. @returns whether it did. */
  async evictIf(agentId: SpiffeId, mayGo: (node: AttestedNode) => boolean): Promise<boolean> {
    return this.#options.store.write(async (transaction) => {
      const node = await transaction.nodes.get(agentId);
      if (node === undefined || !mayGo(node)) return false;
      await forget(transaction, node);
      return true;
    });
  }

  /** For what must not keep an agent from its work. */
  async #whenStored(agentId: SpiffeId, write: () => Promise<void>): Promise<void> {
    const { store, log } = this.#options;
    if (store.connection.state.kind === 'lost') return;
    try {
      await write();
    } catch (error) {
      if (!hasReason(error, 'unavailable')) throw error;
      log.debug({ err: error, agent_id: agentId }, 'what is known of the agent is not stored yet');
    }
  }

  async #activate(agentId: SpiffeId, serialNumber: string): Promise<void> {
    await this.#options.store.write(async (transaction) => {
      const node = await existingNode(transaction, agentId);
      if (node.serialNumber === serialNumber) return; // another server was first
      if (node.nextSerialNumber !== serialNumber || node.nextExpiresAt === undefined) {
        throw new BonafideError('agent_not_active', `agent ${agentId} does not use its current SVID`);
      }
      await transaction.nodes.put({
        ...node,
        serialNumber,
        expiresAt: node.nextExpiresAt,
        nextSerialNumber: undefined,
        nextExpiresAt: undefined,
      });
    });
  }
}

async function existingNode(transaction: WriteTransaction, agentId: SpiffeId): Promise<AttestedNode> {
  const node = await transaction.nodes.get(agentId);
  if (node === undefined) throw new BonafideError('not_found', 'agent not found');
  return node;
}

async function forget(
  transaction: WriteTransaction,
  { agentId, attestationType }: AttestedNode,
): Promise<void> {
  if (attestationType === 'join_token') await deleteTokenAlias(transaction, agentId);
  await transaction.nodes.delete(agentId);
}

/** The entry that came with the token (see create-join-token.ts) goes with its agent; entries that operators made stay. */
async function deleteTokenAlias(transaction: WriteTransaction, agentId: SpiffeId): Promise<void> {
  let token: string | undefined;
  do {
    const page = await transaction.entries.list({ parentId: agentId }, { size: ENTRY_PAGE_SIZE, token });
    for (const entry of page.items.filter((entry) => isTokenAlias(entry, agentId))) {
      await transaction.entries.delete(entry.id);
    }
    token = page.nextPageToken;
  } while (token !== undefined);
}

function isTokenAlias({ selectors }: RegistrationEntry, agentId: SpiffeId): boolean {
  const [only] = selectors;
  return selectors.length === 1 && only?.type === 'spiffe_id' && only.value === agentId;
}
