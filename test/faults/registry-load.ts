/** Operators who create, change and delete entries all at once, and remember exactly what the server has acknowledged. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { UnaryMethodName, UnaryRequest, UnaryResponse } from '@bonafide/shared/rpc/client-methods';
import type { Entry, Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { status } from '@grpc/grpc-js';
import { adminClient } from './admin-client.js';

type EntryClient = ServiceClient<'spire.api.server.entry.v1.Entry'>;

const LOAD_PATH = '/load/';
const DEADLINE_MS = 5_000;
const PAUSE_AFTER_FAILURE_MS = 30;
const PAGE_SIZE = 500;

/** Of an entry: what it may be now. Two things, when the server died over a change and nobody knows whether it was made. */
type Possible = readonly string[];

const GONE = 'gone';

interface RegistryLoadOptions {
  readonly server: LaunchedServer;
  readonly operators: number;
  /** Of the entries' parent. */
  readonly parentPath: string;
  /** Between two changes of an operator; none unless told. */
  readonly pauseMs?: number;
}

export class RegistryLoad {
  readonly #options: RegistryLoadOptions;
  readonly #possible = new Map<string, Possible>();
  /** Creates that were never answered, by path. */
  readonly #doubtfulPaths = new Set<string>();
  readonly #problems: string[] = [];
  readonly #operators: readonly Promise<void>[];
  #acknowledged = 0;
  #foundAgain = 0;
  #isStopped = false;

  constructor(options: RegistryLoadOptions) {
    this.#options = options;
    this.#operators = Array.from({ length: options.operators }, (_, index) => this.#operate(index));
  }

  /** Creates, updates and deletes that were answered well. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Creates that were made although the server died before it answered, so that asking again found the entry. */
  get foundAgain(): number {
    return this.#foundAgain;
  }

  /** Entries that are known to be there. */
  get expected(): number {
    return [...this.#possible.values()].filter((possible) => !possible.includes(GONE)).length;
  }

  get deleted(): number {
    return [...this.#possible.values()].filter((possible) => possible.length === 1 && possible[0] === GONE)
      .length;
  }

  get doubtful(): number {
    return this.#doubtfulPaths.size + [...this.#possible.values()].filter(({ length }) => length > 1).length;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#operators);
  }

  /** Compares what the server has with what it has acknowledged. @returns each difference; none is expected. */
  async differences(): Promise<readonly string[]> {
    const differences = [...this.#problems];
    const present = new Map((await this.#list()).map((entry) => [entry.id, entry]));
    for (const [id, possible] of this.#possible) {
      const entry = present.get(id);
      const state = entry === undefined ? GONE : describe(entry);
      if (!possible.includes(state)) differences.push(`${id} is ${state}; expected ${possible.join(' or ')}`);
    }
    for (const [id, entry] of present) {
      const path = entry.spiffeId?.path ?? '';
      if (!this.#possible.has(id) && !this.#doubtfulPaths.has(path))
        differences.push(`${id} at ${path} was created by nobody`);
    }
    return differences;
  }

  async #operate(operator: number): Promise<void> {
    const { server, pauseMs } = this.#options;
    const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
    const own: Entry__Output[] = [];
    try {
      for (let index = 0; !this.#isStopped; index += 1) {
        if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs));
        const entry = own.length > 0 && index % 3 !== 0 ? own.shift() : undefined;
        if (entry === undefined) {
          own.push(...(await this.#create(client, `${LOAD_PATH}${operator}/${index}`, index)));
        } else if (index % 3 === 1) {
          own.push(...(await this.#update(client, entry, index)));
        } else if (index % 5 === 0) {
          await this.#delete(client, entry);
        } else {
          own.push(entry);
        }
      }
    } finally {
      client.close();
    }
  }

  /** Asks again when there was no answer, as operators do; what was made the first time is then found to be there. */
  async #create(client: EntryClient, path: string, index: number): Promise<readonly Entry__Output[]> {
    const entry: Entry = {
      spiffeId: { trustDomain: this.#options.server.trustDomain, path },
      parentId: { trustDomain: this.#options.server.trustDomain, path: this.#options.parentPath },
      selectors: [
        { type: 'unix', value: `uid:${index}` },
        { type: 'unix', value: 'gid:7' },
      ],
      dnsNames: [`host-${index}.example.org`],
      x509SvidTtl: 60 + index,
    };
    this.#doubtfulPaths.add(path);
    let results = await this.#answered(client, 'BatchCreateEntry', { entries: [entry] });
    const isRepeated = results === undefined;
    while (results === undefined && !this.#isStopped) {
      results = await this.#answered(client, 'BatchCreateEntry', { entries: [entry] });
    }
    if (results === undefined) return [];
    const [result] = results.results;
    const isThere = isRepeated && result?.status?.code === status.ALREADY_EXISTS;
    const created = isThere ? result.entry : this.#ofOne(results.results, path)?.entry;
    if (!created) return [];
    if (isThere) this.#foundAgain += 1;
    this.#doubtfulPaths.delete(path);
    this.#possible.set(created.id, [describe(created)]);
    return [created];
  }

  async #update(client: EntryClient, old: Entry__Output, index: number): Promise<readonly Entry__Output[]> {
    const changes = { x509SvidTtl: 10_000 + index, hint: `hint-${index}` };
    const wished = { ...old, ...changes, revisionNumber: old.revisionNumber + 1 };
    this.#possible.set(old.id, [describe(old), describe(wished)]);
    const answer = await this.#answered(client, 'BatchUpdateEntry', {
      entries: [{ id: old.id, ...changes }],
      inputMask: { x509SvidTtl: true, hint: true },
    });
    const updated = this.#ofOne(answer?.results, old.id)?.entry;
    if (!updated) return [];
    if (describe(updated) !== describe(wished)) this.#problems.push(`${old.id} became ${describe(updated)}`);
    this.#possible.set(old.id, [describe(updated)]);
    return [updated];
  }

  async #delete(client: EntryClient, { id }: Entry__Output): Promise<void> {
    this.#possible.set(id, [...(this.#possible.get(id) ?? []), GONE]);
    const answer = await this.#answered(client, 'BatchDeleteEntry', { ids: [id] });
    if (this.#ofOne(answer?.results, id) !== undefined) this.#possible.set(id, [GONE]);
  }

  /** @returns undefined when the server died over it, so that nobody knows; and only when it is back. */
  async #answered<Method extends UnaryMethodName<EntryClient>>(
    client: EntryClient,
    method: Method,
    request: UnaryRequest<EntryClient[Method]>,
  ): Promise<UnaryResponse<EntryClient[Method]> | undefined> {
    try {
      return await callUnary(client, method, request, { deadlineMs: DEADLINE_MS });
    } catch (error) {
      this.#noteFailure(error);
    }
    while (!this.#isStopped) {
      try {
        await callUnary(client, 'CountEntries', {}, { deadlineMs: DEADLINE_MS });
        break;
      } catch (error) {
        this.#noteFailure(error);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
      }
    }
    return undefined;
  }

  #noteFailure(error: unknown): void {
    if (!hasReason(error, 'unavailable', 'cancelled', 'deadline_exceeded'))
      this.#problems.push(String(error));
  }

  #ofOne<Result extends { readonly status: { readonly code: number; readonly message: string } | null }>(
    results: readonly Result[] | undefined,
    what: string,
  ): Result | undefined {
    if (results === undefined) return undefined;
    const [result] = results;
    if (result?.status?.code === 0) {
      this.#acknowledged += 1;
      return result;
    }
    this.#problems.push(`${what} was refused: ${result?.status?.message ?? 'without a status'}`);
    return undefined;
  }

  async #list(): Promise<readonly Entry__Output[]> {
    const client = adminClient(this.#options.server, 'spire.api.server.entry.v1.Entry');
    const found: Entry__Output[] = [];
    try {
      let pageToken = '';
      do {
        const page = await callUnary(client, 'ListEntries', { pageSize: PAGE_SIZE, pageToken });
        found.push(...page.entries.filter(({ spiffeId }) => spiffeId?.path.startsWith(LOAD_PATH)));
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
    } finally {
      client.close();
    }
    return found;
  }
}

/** All of it, so that any difference shows. */
function describe(entry: Entry__Output): string {
  const { spiffeId, parentId, selectors, dnsNames, x509SvidTtl, hint, revisionNumber, createdAt } = entry;
  return JSON.stringify({
    spiffeId,
    parentId,
    selectors: selectors.map(({ type, value }) => `${type}:${value}`).sort(),
    ...{ dnsNames, x509SvidTtl, hint, revisionNumber, createdAt },
  });
}
