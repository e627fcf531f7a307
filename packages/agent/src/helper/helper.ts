/** Keeps the files of one identity as new as the identity is, and tells those who read them. */
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { FolderLock } from '../svid-store/folder-lock.js';
import { VersionedFolder } from '../svid-store/versioned-folder.js';
import type { Ownership } from '../svid-store/write-new-file.js';
import { HelperFiles } from './helper-files.js';
import type { HelperEntry, JwtSvidFile } from './helper-entry.js';
import type { HelperResult } from './helper-result.js';
import { firstUpdate, type IdentitySource } from './identity-source.js';
import { tellOfChange } from './tell-of-change.js';

interface HelperOptions {
  readonly entry: HelperEntry;
  readonly ownership: Ownership;
  readonly source: IdentitySource;
  /** Every file is there and new. Awaited before anything newer is written. */
  readonly onWritten?: () => void;
  /** Told of every attempt. */
  readonly onAttempt?: (result: HelperResult) => void;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The agent is near: asking it again costs little, and a program may be waiting for its files. */
const RETRY = { initialMs: 1_000, maximumMs: 10_000 };
const SOONEST_TOKEN_RENEWAL_MS = 1_000;

type Health = 'failing' | 'starting' | 'well';

export class Helper {
  readonly #options: HelperOptions;
  readonly #lock: FolderLock;
  readonly #folder: VersionedFolder;
  readonly #files: HelperFiles;
  readonly #alarm: Alarm;
  #isToWrite = false;
  #isToTell = false;
  #health: Health = 'starting';

  constructor(options: HelperOptions) {
    this.#options = options;
    const { directory: path } = options.entry;
    this.#lock = new FolderLock(path);
    this.#folder = new VersionedFolder({ path, ownership: options.ownership, lock: this.#lock });
    this.#files = new HelperFiles(options.entry, options.clock);
    this.#alarm = new Alarm(options.clock);
  }

  get directory(): string {
    return this.#options.entry.directory;
  }

  get isFailing(): boolean {
    return this.#health === 'failing';
  }

  /** Everything that is asked for has been written, and the X.509-SVID has not expired. */
  get isReady(): boolean {
    return this.#health === 'well' && this.#files.isComplete && !this.#files.isExpired;
  }

  /** @throws BonafideError when the folder cannot be used, or another process keeps it. */
  prepare(): Promise<void> {
    return this.#folder.prepare();
  }

  /** Another may keep the folder from now on; what runs takes it again when it writes. */
  release(): void {
    this.#lock.release();
  }

  /** Takes the files away. */
  clear(): Promise<void> {
    return this.#folder.remove();
  }

  /** Writes and tells until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { jwtBundleFileName, jwtSvids, x509 } = this.#options.entry;
    const tasks = [
      this.#runWriting(signal),
      ...jwtSvids.map((file) => this.#follow('JWT-SVID', () => this.#renewToken(file, signal), signal)),
    ];
    if (x509 !== undefined) tasks.push(this.#follow('X.509-SVID', () => this.#followX509(signal), signal));
    if (jwtBundleFileName !== undefined) {
      tasks.push(this.#follow('JWT bundle', () => this.#followJwtBundles(signal), signal));
    }
    try {
      await Promise.all(tasks);
    } finally {
      this.#lock.release();
    }
  }

  /** Writes everything once. @throws BonafideError when any of it cannot be had or written. */
  async once(signal: AbortSignal): Promise<void> {
    try {
      await this.#once(signal);
    } finally {
      this.#lock.release();
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { entry, source } = this.#options;
    if (entry.x509 !== undefined) {
      this.#files.takeIdentities(await firstUpdate(source.identities(signal)));
    }
    if (entry.jwtBundleFileName !== undefined) {
      this.#files.takeJwtBundles(await firstUpdate(source.jwtBundles(signal)));
    }
    for (const file of entry.jwtSvids) {
      const { token } = await source.jwtSvid(file.audiences, entry.choice, signal);
      this.#files.takeToken(file.fileName, token);
    }
    if (await this.#folder.replace(this.#files.present, this.#files.names)) {
      await tellOfChange(entry.onChange, this.#options, signal);
    }
  }

  async #followX509(signal: AbortSignal): Promise<void> {
    for await (const update of this.#options.source.identities(signal)) {
      this.#files.takeIdentities(update);
      this.#write(true);
    }
  }

  async #followJwtBundles(signal: AbortSignal): Promise<void> {
    for await (const bundles of this.#options.source.jwtBundles(signal)) {
      this.#files.takeJwtBundles(bundles);
      this.#write(false);
    }
  }

  /** Once half of its life is over there is time enough left to try again. */
  async #renewToken({ audiences, fileName }: JwtSvidFile, signal: AbortSignal): Promise<void> {
    const { clock, entry, source } = this.#options;
    const { expiresAt, token } = await source.jwtSvid(audiences, entry.choice, signal);
    this.#files.takeToken(fileName, token);
    this.#write(false);
    const leftMs = expiresAt.getTime() - clock.now().getTime();
    await sleep(clock, Math.max(leftMs / 2, SOONEST_TOKEN_RENEWAL_MS), signal);
  }

  #write(isToTell: boolean): void {
    this.#isToWrite = true;
    this.#isToTell ||= isToTell;
    this.#alarm.ring();
  }

  /** Again and again until the signal fires; what was written stays meanwhile. */
  async #follow(what: string, attempt: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      let why: string | undefined;
      try {
        await attempt();
        if (what === 'JWT-SVID') {
          backoff.reset();
          continue;
        }
      } catch (error) {
        if (isAborted(signal)) return;
        if (!hasReason(error, 'cancelled')) why = errorMessage(error);
      }
      if (clock.monotonicMs() - startedMs > RETRY.maximumMs) backoff.reset();
      const delayMs = backoff.nextDelayMs();
      if (why !== undefined) {
        const fields = { directory: this.directory, retryInMs: Math.round(delayMs) };
        log.warn(fields, `no newer ${what} can be had, files stay as they are: ${why}`);
      }
      await sleep(clock, delayMs, signal).catch(() => undefined); // ends when stopped
    }
  }

  async #runWriting(signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    let isUntold = false;
    while (!signal.aborted) {
      if (!this.#isToWrite && !isUntold) {
        await this.#alarm.wait(undefined, signal);
        continue;
      }
      try {
        if (this.#isToWrite) isUntold = (await this.#writeNow()) || isUntold;
        if (isUntold) await this.#tell(signal);
        isUntold = false;
        this.#health = 'well';
        backoff.reset();
        this.#options.onWritten?.();
      } catch (error) {
        if (isAborted(signal)) return;
        this.#health = 'failing';
        const delayMs = backoff.nextDelayMs();
        log.error({ directory: this.directory, retryInMs: Math.round(delayMs) }, errorMessage(error));
        await sleep(clock, delayMs, signal).catch(() => undefined); // ends when stopped
      }
    }
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { entry, onAttempt } = this.#options;
    await tellOfChange(entry.onChange, this.#options, signal).catch((error: unknown) => {
      onAttempt?.('untold');
      throw error;
    });
  }

  /** @returns whether there is something to tell. */
  async #writeNow(): Promise<boolean> {
    const isToTell = this.#isToTell;
    this.#isToWrite = false;
    this.#isToTell = false;
    const { log, onAttempt } = this.#options;
    try {
      if (this.#files.isWithdrawn) {
        await this.#folder.remove();
        onAttempt?.('removed');
        log.warn({ directory: this.directory }, 'removed the files: the identity was taken away');
        return false;
      }
      await this.#folder.prepare();
      const hasChanged = await this.#folder.replace(this.#files.present, this.#files.names);
      onAttempt?.(hasChanged ? 'written' : 'unchanged');
      if (!hasChanged) return false;
      log.info({ directory: this.directory, ...this.#files.described }, 'wrote new files');
      return isToTell;
    } catch (error) {
      this.#isToWrite = true;
      this.#isToTell ||= isToTell;
      onAttempt?.('failed');
      throw error;
    }
  }
}
