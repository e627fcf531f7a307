/** How well the server is: whether it can sign, and what waits until something outside of it is back. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { AuthorityProblem } from '../authority/authority-rotation.js';
import type { DatabaseConnection } from '../store/store.js';

export interface HealthSources {
  readonly connection: DatabaseConnection;
  readonly authorities: { canSignX509(): boolean; problems(): readonly AuthorityProblem[] };
  readonly clock: Clock;
}

/** What may be unwell while the server serves. */
export type Component = 'datastore' | 'authority';

/** One of the things that have to be well, for whoever has to make it so. */
interface HealthCheck {
  readonly name: 'server' | Component;
  readonly ok: boolean;
  /** When it became what it is. */
  readonly since: Date;
  readonly problem?: string;
  readonly remedy?: string;
}

const REMEDIES: Readonly<Record<HealthCheck['name'], string>> = {
  server: 'wait until it has started; the log tells what it waits for',
  datastore: 'see that the database runs and that this machine reaches it; the server goes on by itself',
  authority:
    'read the reason in the log; see that the key manager, the data folder and the upstream authority answer',
};

const DATABASE_WORDS = 'The database cannot be reached';
const CHECKS = ['server', 'datastore', 'authority'] as const;
/** An authority ends by itself: nobody tells. */
const LOOK_EVERY_MS = 10_000;

export class HealthState {
  readonly #sources: HealthSources;
  readonly #listeners = new Set<() => void>();
  #isReady = false;
  #told = '';
  readonly #since = new Map<HealthCheck['name'], { readonly ok: boolean; readonly at: Date }>();

  constructor(sources: HealthSources) {
    this.#sources = sources;
  }

  /** Those who watch hear of changes until the signal fires. */
  start(signal: AbortSignal): void {
    const { clock, connection } = this.#sources;
    let timer: Timer | undefined;
    const look = (): void => {
      this.#tell();
      timer = clock.schedule(LOOK_EVERY_MS, look);
    };
    look();
    const unsubscribe = connection.subscribe(() => {
      this.#tell();
    });
    signal.addEventListener(
      'abort',
      () => {
        timer?.cancel();
        unsubscribe();
      },
      { once: true },
    );
  }

  /** @param isReady whether the server is started and not being stopped. */
  set(isReady: boolean): void {
    this.#isReady = isReady;
    this.#tell();
  }

  /** A server that cannot sign is of no use to agents. */
  get isServing(): boolean {
    return this.#isReady && this.#sources.authorities.canSignX509();
  }

  isWell(component: Component): boolean {
    const { connection, authorities } = this.#sources;
    if (component === 'datastore') return connection.state.kind === 'connected';
    return authorities.canSignX509() && authorities.problems().length === 0;
  }

  /** Every part, since when it is as it is, and what to do. */
  checks(): readonly HealthCheck[] {
    this.#noteChanges();
    const lines = this.degradations();
    return CHECKS.map((name) => {
      const ok = this.#isOk(name);
      const since = this.#since.get(name)?.at ?? this.#sources.clock.now();
      return ok
        ? { name, ok, since }
        : { name, ok, since, problem: this.#problem(name, lines), remedy: REMEDIES[name] };
    });
  }

  /** Sentences for an operator: what, since when, why, and what it means. */
  degradations(): readonly string[] {
    const { connection, authorities } = this.#sources;
    const { state } = connection;
    const lines: string[] = [];
    if (state.kind === 'lost') {
      lines.push(
        `${DATABASE_WORDS} since ${state.since.toISOString()}: ${state.problem}; changes and attestation wait for it.`,
      );
    }
    for (const { words, since, message, signsUntil } of authorities.problems()) {
      const until =
        signsUntil === undefined ? '' : `; the present one signs until ${signsUntil.toISOString()}`;
      lines.push(`The ${words} cannot be rotated since ${since.toISOString()}: ${message}${until}.`);
    }
    return lines;
  }

  /** Resolves at the next change. @throws BonafideError `cancelled` by the signal. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#listeners.delete(finish);
        signal.removeEventListener('abort', finish);
        if (signal.aborted) reject(new BonafideError('cancelled', 'the call is over'));
        else resolve();
      };
      this.#listeners.add(finish);
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }

  #isOk(name: HealthCheck['name']): boolean {
    return name === 'server' ? this.isServing : this.isWell(name);
  }

  #problem(name: HealthCheck['name'], lines: readonly string[]): string {
    const isDatabase = (line: string): boolean => line.startsWith(DATABASE_WORDS);
    if (name === 'datastore') return lines.find(isDatabase) ?? 'The database cannot be reached.';
    const ofAuthority = lines.filter((line) => !isDatabase(line)).join(' ');
    if (!this.#sources.authorities.canSignX509())
      return `There is no authority to sign with. ${ofAuthority}`.trim();
    return name === 'authority' ? ofAuthority : 'The server is starting or stopping.';
  }

  #noteChanges(): void {
    for (const name of CHECKS) {
      const ok = this.#isOk(name);
      if (this.#since.get(name)?.ok !== ok) this.#since.set(name, { ok, at: this.#sources.clock.now() });
    }
  }

  #tell(): void {
    this.#noteChanges();
    const now = JSON.stringify([this.isServing, this.isWell('datastore'), this.isWell('authority')]);
    if (now === this.#told) return;
    this.#told = now;
    for (const listener of this.#listeners) listener();
  }
}
