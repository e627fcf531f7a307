/** What operators do about TPMs by command: let them in, take them out, put one in the place of another, and look at what they showed. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { actorNamed } from '../../access/audited-actor.js';
import type { AuditEvent, AuditRecorder } from '../../audit/audit-log.js';
import type { Page, PageRequest, Store } from '../../store/store.js';
import type { TpmEnrollmentRecord } from '../../store/tpm-enrollment-record.js';
import { moveEntries } from './move-entries.js';
import { tpmAgentId } from './tpm-agent-id.js';
import { forgetAttestationKey, formatTpmRecord, parseTpmRecord, type NodeState } from './tpm-record.js';

interface TpmEnrollmentsOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditRecorder;
}

const LONGEST_NOTE_CHARACTERS = 512;

interface Told {
  readonly ekHash: string;
  readonly by: string;
  readonly reason?: string;
  readonly revision?: number;
  readonly audit: AuditRecorder | undefined;
}

/**
 * Each is in the audit log, once it is done: when that cannot be written, the caller is told `unavailable`, and what was done stands.
 * The `audit` that each may be given is that of the call by which it was asked for.
 */
export class TpmEnrollments {
  readonly #options: TpmEnrollmentsOptions;

  constructor(options: TpmEnrollmentsOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `already_exists`, `invalid_argument`. */
  async enroll(
    ekHash: string,
    note: string,
    by: string,
    audit?: AuditRecorder,
  ): Promise<TpmEnrollmentRecord> {
    if (note.length > LONGEST_NOTE_CHARACTERS) {
      throw invalidArgument(`note: is longer than ${LONGEST_NOTE_CHARACTERS} characters`);
    }
    const { store, clock } = this.#options;
    const enrollment = { ekHash, note, enrolledAt: clock.now() };
    await store.write(({ tpmEnrollments }) => tpmEnrollments.create(enrollment));
    await this.#record('tpm_enrolled', { ekHash, by, reason: note, audit });
    return enrollment;
  }

  list(page: PageRequest): Promise<Page<TpmEnrollmentRecord>> {
    return this.#options.store.tpmEnrollments.list(page);
  }

  /** Its agent is banned with it. @returns the revision. @throws BonafideError `not_found`. */
  async remove(ekHash: string, by: string, audit?: AuditRecorder): Promise<number> {
    const revision = await this.#options.store.write(async (transaction) => {
      await transaction.tpmEnrollments.delete(ekHash);
      const node = await transaction.nodes.get(this.#agentId(ekHash));
      if (node !== undefined) {
        await transaction.nodes.put({
          ...node,
          isBanned: true,
          serialNumber: undefined,
          nextSerialNumber: undefined,
          nextExpiresAt: undefined,
        });
      }
      return transaction.revision;
    });
    await this.#record('tpm_removed', { ekHash, by, revision, audit });
    return revision;
  }

  /**
   * In one transaction: the new TPM is enrolled, the old one and its agent are gone, and what was registered for it waits for the new one.
   * @throws BonafideError `not_found` when the old one is neither enrolled nor known as an agent.
   */
  async replace(
    oldEkHash: string,
    newEkHash: string,
    by: string,
    audit?: AuditRecorder,
  ): Promise<{ readonly movedEntries: number; readonly revision: number }> {
    if (oldEkHash === newEkHash) throw invalidArgument('new_ek_hash: is the same as old_ek_hash');
    const { store, clock } = this.#options;
    const [oldId, newId] = [this.#agentId(oldEkHash), this.#agentId(newEkHash)];
    const replaced = await store.write(async (transaction) => {
      const { entries, tpmEnrollments, nodes, revision } = transaction;
      const enrolled = await tpmEnrollments.get(oldEkHash);
      const node = await nodes.get(oldId);
      if (enrolled === undefined && node === undefined) {
        throw new BonafideError('not_found', `the TPM ${oldEkHash} is neither enrolled nor attested`);
      }
      if (enrolled !== undefined) await tpmEnrollments.delete(oldEkHash);
      if (node !== undefined) await nodes.delete(oldId);
      if ((await tpmEnrollments.get(newEkHash)) === undefined) {
        const note = enrolled?.note ?? '';
        await tpmEnrollments.create({ ekHash: newEkHash, note, enrolledAt: clock.now() });
      }
      return { movedEntries: await moveEntries(entries, oldId, newId), revision };
    });
    const { revision } = replaced;
    await this.#record('tpm_replaced', {
      ekHash: oldEkHash,
      by,
      reason: `replaced by ${newId}`,
      revision,
      audit,
    });
    return replaced;
  }

  /** The next attestation sets the key anew. @throws BonafideError `not_found`. */
  async rekey(ekHash: string, by: string, audit?: AuditRecorder): Promise<void> {
    await this.#options.store.write(async ({ nodeProofs }) => {
      const proof = await nodeProofs.get(this.#agentId(ekHash));
      if (proof?.record === undefined) throw neverSeen(ekHash);
      const record = formatTpmRecord(forgetAttestationKey(parseTpmRecord(proof.record)));
      await nodeProofs.put({ ...proof, record });
    });
    await this.#record('tpm_rekeyed', { ekHash, by, audit });
  }

  /** What was accepted last. @throws BonafideError `not_found`. */
  async acceptedState(ekHash: string): Promise<NodeState> {
    const proof = await this.#options.store.nodeProofs.get(this.#agentId(ekHash));
    if (proof?.record === undefined) throw neverSeen(ekHash);
    return parseTpmRecord(proof.record).expected;
  }

  async #record(event: AuditEvent['event'], { ekHash, by, reason, revision, audit }: Told): Promise<void> {
    const recorder = audit ?? this.#options.audit;
    await recorder.record({
      ...{ event, result: 'success', actor: actorNamed(by), attestationType: 'tpm', reason, revision },
      subject: { agentId: this.#agentId(ekHash), ekHash },
    });
  }

  #agentId(ekHash: string): SpiffeId {
    return tpmAgentId(this.#options.trustDomain, ekHash);
  }
}

function neverSeen(ekHash: string): BonafideError {
  return new BonafideError('not_found', `the TPM ${ekHash} never attested`);
}
