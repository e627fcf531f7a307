/** One look at a running program for whoever has to find a fault: what it is, how it is configured, how it is, and what it complained of. */
import { join } from 'node:path';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import { recentProblems, type Logger } from '../runtime/logger.js';
import { cpuProfile } from './cpu-profile.js';
import { writeHeap } from './heap-file.js';
import { LONGEST_PROFILE_SECONDS } from './profile-seconds.js';
import { processState } from './process-state.js';
import { scrubbed, withoutSecrets } from './without-secrets.js';

export interface SnapshotSources {
  /** For example `bonafide-agent`. */
  readonly program: string;
  readonly version: string;
  /** As it holds now. */
  readonly config: () => unknown;
  /** Plain data: every check, with what is wrong. */
  readonly health: () => unknown;
  /** Plain data: how many there are of what the program holds. */
  readonly counts: () => unknown;
  readonly metrics: { text(): Promise<string> };
  /** The program's own, as `createLogger` made it. */
  readonly log: Logger;
  /** Where the heap may lie: a folder for this program alone. */
  readonly dataFolder: string;
  readonly clock: Clock;
}

/** Of the answers; a client takes four megabytes. */
const LONGEST_METRICS = 1024 * 1024;

export class Snapshots {
  readonly #sources: SnapshotSources;
  #isBusy = false;

  constructor(sources: SnapshotSources) {
    this.#sources = sources;
  }

  /** Plain data without a secret. */
  async take(): Promise<unknown> {
    const { clock, config, counts, health, log, metrics, program, version } = this.#sources;
    const { shown, secrets } = withoutSecrets(config());
    const problems = recentProblems(log);
    const text = await metrics.text();
    const snapshot = {
      program,
      version,
      node_version: process.version,
      platform: `${process.platform} ${process.arch}`,
      taken_at: clock.now().toISOString(),
      process: await processState(clock),
      health: health(),
      counts: counts(),
      log_level: log.level,
      problems: { lines: problems.lines.map(parsedLine), dropped: problems.dropped },
      configuration: shown,
      metrics: text.length <= LONGEST_METRICS ? text : `${text.slice(0, LONGEST_METRICS)}\n# cut off here\n`,
    };
    // What is no data, such as a date, becomes it first.
    return scrubbed(JSON.parse(JSON.stringify(snapshot)), secrets);
  }

  /** @returns the text of a `.cpuprofile`. @throws BonafideError `failed_precondition` while another one is being made. */
  profileCpu(seconds: number, signal: AbortSignal): Promise<string> {
    if (!(seconds >= 1 && seconds <= LONGEST_PROFILE_SECONDS)) {
      throw invalidArgument(`a profile takes 1 to ${LONGEST_PROFILE_SECONDS} seconds, not ${seconds}`);
    }
    return this.#alone(() => cpuProfile(seconds, this.#sources.clock, signal));
  }

  /** @throws BonafideError `failed_precondition` while a profile is being made, or when the heap is too large. */
  writeHeap(): ReturnType<typeof writeHeap> {
    const { clock, dataFolder, log } = this.#sources;
    return this.#alone(async () => {
      const written = await writeHeap(join(dataFolder, 'debug'), clock);
      log.warn(written, 'the heap, with the private keys in it, was written to a file; delete it after use');
      return written;
    });
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) {
      throw new BonafideError('failed_precondition', 'another profile is being made; wait until it is done');
    }
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }
}

/** A line that was cut off is no JSON any more. */
function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return line;
  }
}
