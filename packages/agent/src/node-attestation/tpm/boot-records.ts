/** What firmware and kernel wrote down of what they measured. It may not be there, or not for us to read; each is said once. */
import { readFile, stat } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { LARGEST_EVENT_LOG_BYTES } from '@bonafide/shared/tpm/proof/tpm-evidence';
import { readImaEntries } from './ima-entries.js';

export const DEFAULT_EVENT_LOG_PATH = '/sys/kernel/security/tpm0/binary_bios_measurements';
export const DEFAULT_IMA_LIST_PATH = '/sys/kernel/security/ima/binary_runtime_measurements';

interface BootRecordsOptions {
  readonly eventLogPath: string;
  readonly imaListPath: string;
  readonly log: Logger;
}

export class BootRecords {
  readonly #options: BootRecordsOptions;
  readonly #said = new Set<string>();

  constructor(options: BootRecordsOptions) {
    this.#options = options;
  }

  /** Undefined when this machine has none for us. */
  eventLog(): Promise<Buffer | undefined> {
    const { eventLogPath } = this.#options;
    return this.#unlessMissing(() => readEventLog(eventLogPath));
  }

  /** Whole entries, from that one on, as many as there is room for. Undefined when this machine has no list for us. */
  imaEntries(from: number, room: number): Promise<Buffer | undefined> {
    const { imaListPath } = this.#options;
    return this.#unlessMissing(() => readImaList(imaListPath, from, room));
  }

  async #unlessMissing(read: () => Promise<Buffer>): Promise<Buffer | undefined> {
    try {
      return await read();
    } catch (error) {
      const text = errorMessage(error);
      if (!this.#said.has(text)) this.#options.log.warn(`${text}; the server may demand it`);
      this.#said.add(text);
      return undefined;
    }
  }
}

/** @throws BonafideError saying what to do when there is none, or it is not for us to read. */
export async function readEventLog(path: string): Promise<Buffer> {
  try {
    // The size of a file of the kernel is not known before it is read.
    const { size } = await stat(path);
    const log = size > LARGEST_EVENT_LOG_BYTES ? undefined : await readFile(path);
    if (log === undefined || log.length > LARGEST_EVENT_LOG_BYTES) {
      throw new Error(`${path} is longer than ${LARGEST_EVENT_LOG_BYTES} bytes`);
    }
    if (log.length === 0) throw new Error(`${path} is empty`);
    return log;
  } catch (error) {
    throw unreadable(
      'boot log',
      error,
      'the kernel shows one when it was booted by firmware that measures, and securityfs is mounted',
    );
  }
}

/**
 * Whole entries of the kernel's list, from that one on, as many as there is room for.
 * @throws BonafideError as readEventLog.
 */
export async function readImaList(path: string, from: number, room: number): Promise<Buffer> {
  try {
    return await readImaEntries(path, from, room);
  } catch (error) {
    throw unreadable(
      'IMA list',
      error,
      'the kernel shows one when it has an IMA policy, such as ima_policy=tcb',
    );
  }
}

function unreadable(what: string, error: unknown, ifAbsent: string): BonafideError {
  const { code } = error as NodeJS.ErrnoException;
  const text = `there is no ${what} for us: ${errorMessage(error)}`;
  if (code === 'ENOENT') return new BonafideError('not_found', `${text}; ${ifAbsent}`, { cause: error });
  if (code === 'EACCES' || code === 'EPERM') {
    return new BonafideError(
      'permission_denied',
      `${text}; only root may read it: run this as root, or with the capability CAP_DAC_READ_SEARCH`,
      { cause: error },
    );
  }
  return new BonafideError('failed_precondition', text, { cause: error });
}
