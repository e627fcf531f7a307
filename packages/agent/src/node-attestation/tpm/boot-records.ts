/** What firmware and kernel wrote down of what they measured. It may not be there, or not for us to read; each is said once. */
import { readFile, stat } from 'node:fs/promises';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { LARGEST_EVENT_LOG_BYTES } from '@bonafide/shared/tpm/tpm-evidence';
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
  async eventLog(): Promise<Buffer | undefined> {
    const { eventLogPath: path } = this.#options;
    try {
      const log = await readBounded(path);
      if (log.length > 0) return log;
      this.#say(path, 'the boot log is empty');
    } catch (error) {
      this.#say(path, `there is no boot log for this agent: ${advice(error)}`);
    }
    return undefined;
  }

  /** Whole entries, from that one on, as many as there is room for. Undefined when this machine has no list for us. */
  async imaEntries(from: number, room: number): Promise<Buffer | undefined> {
    const { imaListPath: path } = this.#options;
    try {
      return await readImaEntries(path, from, room);
    } catch (error) {
      this.#say(path, `there is no IMA list for this agent: ${advice(error)}`);
      return undefined;
    }
  }

  #say(path: string, text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#options.log.warn({ path }, `${text}; the server may demand it`);
  }
}

/** The size of a file of the kernel is not known before it is read. */
async function readBounded(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  const log = size > LARGEST_EVENT_LOG_BYTES ? undefined : await readFile(path);
  if (log === undefined || log.length > LARGEST_EVENT_LOG_BYTES) {
    throw new Error(`${path} is longer than ${LARGEST_EVENT_LOG_BYTES} bytes`);
  }
  return log;
}

function advice(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  const text = errorMessage(error);
  if (code === 'ENOENT') {
    return `${text}; the kernel shows one when the firmware measures the boot and securityfs is mounted`;
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return `${text}; only root may read it: run the agent as root, or with the capability CAP_DAC_READ_SEARCH`;
  }
  return text;
}
