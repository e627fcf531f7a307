/** What the agent is entitled to, on disk: entries, bundles and the position in the server's log, always of one and the same moment. */
import { createHash } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { watchResponseFromProto, watchResponseToProto } from '@bonafide/shared/rpc/codec/watch-message';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import {
  readFileIfExists,
  removeUnfinishedWrites,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';

export interface AuthorizedState {
  /** Who was entitled: a position means something only to the agent that was told it. */
  readonly agentId: SpiffeId;
  /** Undefined when the server has no log. */
  readonly cursor: WatchCursor | undefined;
  readonly entries: readonly RegistrationEntry[];
  readonly bundles: readonly TrustBundle[];
}

/** The first line of the file; a snapshot page, as the wire has it, follows. */
const headerSchema = z.strictObject({
  version: z.literal(1),
  agent_id: parsedString(parseSpiffeId),
  /** Of what follows: a damaged message may still be one that can be read. */
  sha256: z.string(),
});

interface StateFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** All of it is written each time; a server that is told changes all day must not keep the disk busy all day. */
const PAUSE_MS = 1_000;
/** A disk that is full now may have room in a minute, and an agent that restarts meanwhile would know less than it was told. */
const RETRY = { initialMs: 2_000, maximumMs: 60_000 };

export class StateFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #alarm: Alarm;
  readonly #never = new AbortController().signal;
  readonly #backoff = new Backoff(RETRY);
  #pending: (() => AuthorizedState) | undefined;
  #writing: Promise<void> | undefined;
  #isHurried = false;

  constructor({ path, clock, log }: StateFileOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
    this.#alarm = new Alarm(clock);
  }

  /** Undefined when there is none, or it is damaged, which is logged: the server then tells everything again. */
  async load(): Promise<AuthorizedState | undefined> {
    await removeUnfinishedWrites(this.#path);
    const bytes = await readFileIfExists(this.#path);
    if (bytes === undefined) return undefined;
    try {
      return parseState(bytes);
    } catch (error) {
      this.#log.warn(
        { path: this.#path },
        `ignoring the stored entries, which cannot be read and will be fetched again: ${errorMessage(error)}`,
      );
      return undefined;
    }
  }

  /** Returns at once and asks for the state when it comes to writing it, which is at most a second later. */
  save(state: () => AuthorizedState): void {
    this.#pending = state;
    this.#writing ??= this.#write();
  }

  /** Resolves once everything asked for so far is on disk, or could not be written: it is tried again later. */
  async flush(): Promise<void> {
    this.#isHurried = true;
    this.#alarm.ring();
    await this.#writing;
    this.#isHurried = false;
  }

  async delete(): Promise<void> {
    this.#pending = undefined;
    await this.flush();
    try {
      await unlink(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  async #write(): Promise<void> {
    // Whoever was just told of the change goes first.
    await nextTurn();
    for (let state = this.#take(); state !== undefined; state = this.#take()) {
      const retryInMs = await this.#attempt(state);
      if (this.#isHurried && retryInMs !== undefined) {
        this.#clock.schedule(retryInMs, () => {
          if (this.#pending !== undefined) this.#writing ??= this.#write();
        });
        break;
      }
      if (this.#isHurried) continue;
      const until = new Date(this.#clock.now().getTime() + (retryInMs ?? PAUSE_MS));
      await this.#alarm.wait(until, this.#never);
    }
    this.#writing = undefined;
  }

  /** @returns when to try again; undefined once it is on disk. */
  async #attempt(state: () => AuthorizedState): Promise<number | undefined> {
    try {
      await writeFileAtomic(this.#path, formatState(state()));
      this.#backoff.reset();
      return undefined;
    } catch (error) {
      this.#pending ??= state;
      const retryInMs = Math.round(this.#backoff.nextDelayMs());
      this.#log.warn(
        { path: this.#path, retryInMs },
        `cannot keep the entries on disk, they live in memory only: ${errorMessage(error)}`,
      );
      return retryInMs;
    }
  }

  #take(): (() => AuthorizedState) | undefined {
    const state = this.#pending;
    this.#pending = undefined;
    return state;
  }
}

function formatState({ agentId, cursor, entries, bundles }: AuthorizedState): Buffer {
  const { logId, revision } = cursor ?? { logId: '', revision: 0 };
  const page = watchResponseToProto({
    kind: 'snapshot_page',
    logId,
    revision,
    entries,
    bundles,
    isLast: true,
  });
  const body = loadService('bonafide.sync.v1.Sync').definition.Watch.responseSerialize(page);
  const header: z.input<typeof headerSchema> = { version: 1, agent_id: agentId, sha256: digest(body) };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]);
}

/** @throws when anything about it is wrong. */
function parseState(bytes: Buffer): AuthorizedState {
  const newline = bytes.indexOf('\n');
  if (newline === -1) throw invalidArgument('it has no header');
  const header = headerSchema.parse(JSON.parse(bytes.toString('utf8', 0, newline)));
  const body = bytes.subarray(newline + 1);
  if (digest(body) !== header.sha256) throw invalidArgument('its content is damaged');
  const page = watchResponseFromProto(
    loadService('bonafide.sync.v1.Sync').definition.Watch.responseDeserialize(body),
  );
  if (page.kind !== 'snapshot_page') throw invalidArgument('it holds no snapshot');
  const { logId, revision, entries, bundles } = page;
  return {
    agentId: header.agent_id,
    cursor: logId === '' ? undefined : { logId, revision },
    entries,
    bundles,
  };
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
