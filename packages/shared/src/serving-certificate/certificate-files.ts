/** A serving certificate from two PEM files, looked at again and again: both halves must match before they take the place of the last. */
import { open } from 'node:fs/promises';
import { checkCertificatePair, type CertificatePair } from '../crypto/certificate-pair.js';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import { sleep, type Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { Listeners } from './listeners.js';
import type { ServingCertificate } from './serving-certificate.js';

const LARGEST_FILE_BYTES = 1024 * 1024;

export interface CertificateFilesOptions {
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  /** How often the files are looked at. */
  readonly pollSeconds: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class CertificateFiles implements ServingCertificate {
  readonly #options: CertificateFilesOptions;
  readonly #listeners = new Listeners<CertificatePair>();
  #current: CertificatePair | undefined;
  #lastFailure: string | undefined;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
  }

  current(): CertificatePair | undefined {
    return this.#current;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** @throws BonafideError `failed_precondition` when the files hold no pair now. */
  async start(signal: AbortSignal): Promise<void> {
    try {
      this.#current = await this.#load();
    } catch (error) {
      throw new BonafideError('failed_precondition', this.#describe(error), { cause: error });
    }
    this.#listeners.tell(this.#current);
    void this.#poll(signal);
  }

  /** Reads them now. @throws BonafideError `failed_precondition` when they hold no pair; the last one stays. */
  async prepareReload(): Promise<() => void> {
    let pair: CertificatePair;
    try {
      pair = await this.#load();
    } catch (error) {
      throw new BonafideError('failed_precondition', this.#describe(error), { cause: error });
    }
    return () => {
      this.#take(pair);
    };
  }

  #take(pair: CertificatePair): void {
    if (pair.cert === this.#current?.cert && pair.key === this.#current.key) return;
    this.#current = pair;
    this.#listeners.tell(pair);
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { clock, pollSeconds } = this.#options;
    for (;;) {
      const isOver = await sleep(clock, pollSeconds * 1000, signal).then(
        () => false,
        () => true, // only the signal ends a sleep early
      );
      if (isOver) return;
      await this.#reload();
    }
  }

  async #reload(): Promise<void> {
    const { certificatePath, log } = this.#options;
    try {
      const pair = await this.#load();
      this.#lastFailure = undefined;
      if (pair.cert === this.#current?.cert && pair.key === this.#current.key) return;
      this.#current = pair;
      log.info({ certificatePath, notAfter: pair.notAfter }, 'took the new serving certificate');
      this.#listeners.tell(pair);
    } catch (error) {
      const failure = this.#describe(error);
      // Once for each failure, however often the files are looked at.
      if (failure !== this.#lastFailure) log.error({ err: error }, `${failure}; the last one stays in use`);
      this.#lastFailure = failure;
    }
  }

  async #load(): Promise<ReturnType<typeof checkCertificatePair>> {
    const { certificatePath, privateKeyPath, clock, log } = this.#options;
    const [cert, key] = await Promise.all([readBounded(certificatePath), readBounded(privateKeyPath)]);
    const pair = checkCertificatePair({ cert, key });
    const now = clock.now();
    if (pair.cert !== this.#current?.cert && (now < pair.notBefore || now > pair.notAfter)) {
      const { notBefore, notAfter } = pair;
      log.warn({ certificatePath, notBefore, notAfter }, 'the serving certificate is not valid now');
    }
    return pair;
  }

  #describe(error: unknown): string {
    const { certificatePath, privateKeyPath } = this.#options;
    return `cannot use the serving certificate ${certificatePath} with the key ${privateKeyPath}: ${errorMessage(error)}`;
  }
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(LARGEST_FILE_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) return buffer.toString('utf8', 0, length);
      length += bytesRead;
    }
    throw invalidArgument(`${path} is larger than ${LARGEST_FILE_BYTES} bytes`);
  } finally {
    await file.close();
  }
}
