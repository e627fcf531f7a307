/** What was done to nodes, and by whom: one JSON line each, on the disk before whoever did it hears of it. */
import { open, type FileHandle } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeFinding } from '../store/node-record.js';

export interface AuditEvent {
  readonly event:
    | 'agent_quarantined'
    | 'agent_released'
    | 'attestation_refused'
    | 'node_asked'
    | 'node_approved'
    | 'node_denied'
    | 'node_approval_voided'
    | 'node_admitted'
    | 'tpm_enrolled'
    | 'tpm_removed'
    | 'tpm_replaced'
    | 'tpm_rekeyed';
  readonly agentId: SpiffeId;
  /** `server`, `uid:1000` of a local administrator, the SPIFFE ID of one that is remote, or `webhook`. */
  readonly by: string;
  readonly attestationType: string;
  readonly findings: readonly NodeFinding[];
  /** Of decisions by people: in their words, or which TPM took the place. */
  readonly reason?: string;
}

export interface AuditLog {
  /** Resolves once the line is where it will be found after a crash. @throws BonafideError `unavailable` when it cannot be written. */
  record(event: AuditEvent): Promise<void>;
}

interface AuditLogOptions {
  /** Undefined: only the log has it. */
  readonly path: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class FileAuditLog implements AuditLog {
  readonly #options: AuditLogOptions;
  readonly #file: FileHandle | undefined;
  /** Lines are written one after the other. */
  #tail: Promise<void> = Promise.resolve();

  /** @throws BonafideError `failed_precondition` when the file cannot be opened. */
  static async open(options: AuditLogOptions): Promise<FileAuditLog> {
    return new FileAuditLog(options, await openFile(options.path));
  }

  private constructor(options: AuditLogOptions, file: FileHandle | undefined) {
    this.#options = options;
    this.#file = file;
  }

  async record({ event, agentId, by, attestationType, findings, reason }: AuditEvent): Promise<void> {
    const { clock, log } = this.#options;
    const fields = { event, agent_id: agentId, by, node_attestor_type: attestationType, findings, reason };
    log.info({ audit: true, ...fields }, 'audit');
    const line = `${JSON.stringify({ time: clock.now().toISOString(), ...fields })}\n`;
    const written = this.#tail.then(() => this.#write(line));
    this.#tail = written.catch(() => undefined); // whoever recorded it hears of it
    await written;
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#file?.close();
  }

  async #write(line: string): Promise<void> {
    try {
      await this.#file?.appendFile(line);
      await this.#file?.sync();
    } catch (error) {
      throw new BonafideError(
        'unavailable',
        `the audit log ${this.#options.path ?? ''} cannot be written: ${errorMessage(error)}`,
        { cause: error },
      );
    }
  }
}

async function openFile(path: string | undefined): Promise<FileHandle | undefined> {
  if (path === undefined) return undefined;
  try {
    return await open(path, 'a', 0o600);
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `cannot open audit_log_path ${path}: ${errorMessage(error)}; expected a file that this user may write, in a folder that is there`,
      { cause: error },
    );
  }
}
