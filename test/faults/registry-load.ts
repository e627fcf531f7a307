/** Operators who create, change and delete entries all at once, and remember exactly what the servers have acknowledged. */
import { hasReason, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { UnaryMethodName, UnaryRequest, UnaryResponse } from '@bonafide/shared/rpc/client-methods';
import type { Entry, Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { status } from '@grpc/grpc-js';
import { adminClient } from './admin-client.js';
import { ExpectedEntries } from './expected-entries.js';

type EntryClient = ServiceClient<'spire.api.server.entry.v1.Entry'>;

const LOAD_PATH = '/load/';
const DEADLINE_MS = 5_000;
const PAUSE_AFTER_FAILURE_MS = 100;
const PAGE_SIZE = 500;
/** What a server answers that cannot do it now; nobody knows whether it was done. */
const AWAY = new Set<number>([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);

interface RegistryLoadOptions {
  /** Of one registry; the operators are spread over them, and keep to theirs. */
  readonly servers: readonly LaunchedServer[];
  readonly operators: number;
  /** Of the entries' parents, which take turns. */
  readonly parentPaths: readonly string[];
  /** Between two changes of an operator; none unless told. */
  readonly pauseMs?: number;
  /** `type:value`, of every entry; each has others unless told. */
  readonly selector?: string;
  /** Of an operator at a time; no limit unless told. */
  readonly mostEntries?: number;
  readonly deadlineMs?: number;
  /** Of the SPIFFE IDs; loads of one registry need one each, and share what is expected. */
  readonly name?: string;
  readonly expected?: ExpectedEntries;
}

export class RegistryLoad {
  readonly expected: ExpectedEntries;
  readonly #options: RegistryLoadOptions;
  readonly #problems: string[] = [];
  readonly #refusals = new Map<string, number>();
  readonly #operators: readonly Promise<void>[];
  #acknowledged = 0;
  #foundAgain = 0;
  #isStopped = false;

  constructor(options: RegistryLoadOptions) {
    this.#options = options;
    this.expected = options.expected ?? new ExpectedEntries();
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

  /** What was said by servers that could not do it, and how often. */
  get refusals(): ReadonlyMap<string, number> {
    return this.#refusals;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#operators);
  }

  /** Compares what each server has with what was acknowledged. @returns each difference; none is expected. */
  async differences(): Promise<readonly string[]> {
    const lists = await Promise.all(this.#options.servers.map((server) => this.list(server)));
    return [...this.#problems, ...lists.flatMap((listed) => this.expected.differences(listed))];
  }

  /** What a server has of it, and of other loads. */
  async list(server: LaunchedServer): Promise<readonly Entry__Output[]> {
    const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
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

  async #operate(operator: number): Promise<void> {
    const { servers, pauseMs, mostEntries = Infinity, name = '' } = this.#options;
    const server = servers[operator % servers.length];
    if (server === undefined) throw new Error('a load needs a server');
    const client = adminClient(server, 'spire.api.server.entry.v1.Entry');
    const own: Entry__Output[] = [];
    try {
      for (let index = 0; !this.#isStopped; index += 1) {
        if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs));
        const entry = own.length > 0 && index % 3 !== 0 ? own.shift() : undefined;
        if (own.length > mostEntries) {
          await this.#delete(client, own.shift());
        } else if (entry === undefined) {
          own.push(...(await this.#create(client, `${LOAD_PATH}${name}${operator}/${index}`, index)));
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
    const { parentPaths, servers, selector } = this.#options;
    const trustDomain = servers[0]?.trustDomain ?? '';
    const [type = '', value = ''] = selector?.split(/:(.*)/) ?? ['unix', `uid:${index}`];
    const entry: Entry = {
      spiffeId: { trustDomain, path },
      parentId: { trustDomain, path: parentPaths[index % parentPaths.length] ?? '' },
      selectors: [{ type, value }, ...(selector === undefined ? [{ type: 'unix', value: 'gid:7' }] : [])],
      dnsNames: [`host-${index}.example.org`],
      x509SvidTtl: 3_600 + index,
    };
    this.expected.wished({
      spiffeId: { path },
      parentId: entry.parentId ?? null,
      dnsNames: [`host-${index}.example.org`],
    });
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
    this.expected.created(created);
    return [created];
  }

  async #update(client: EntryClient, old: Entry__Output, index: number): Promise<readonly Entry__Output[]> {
    const changes = {
      x509SvidTtl: 10_000 + index,
      hint: `${old.spiffeId?.path ?? ''} ${index}`,
      dnsNames: [`changed-${index}.example.org`],
    };
    this.expected.updating(old, { ...old, ...changes, revisionNumber: old.revisionNumber + 1 });
    const answer = await this.#answered(client, 'BatchUpdateEntry', {
      entries: [{ id: old.id, ...changes }],
      inputMask: { x509SvidTtl: true, hint: true, dnsNames: true },
    });
    const updated = this.#ofOne(answer?.results, old.id)?.entry;
    if (!updated) return [];
    if (!this.expected.updated(old, updated)) this.#problems.push(`${old.id} became something else`);
    return [updated];
  }

  async #delete(client: EntryClient, entry: Entry__Output | undefined): Promise<void> {
    if (entry === undefined) return;
    this.expected.deleting(entry);
    const answer = await this.#answered(client, 'BatchDeleteEntry', { ids: [entry.id] });
    if (this.#ofOne(answer?.results, entry.id) !== undefined) this.expected.deletedNow(entry);
  }

  /** @returns undefined when the server could not do it, so that nobody knows; and only when it can again. */
  async #answered<Method extends UnaryMethodName<EntryClient>>(
    client: EntryClient,
    method: Method,
    request: UnaryRequest<EntryClient[Method]>,
  ): Promise<UnaryResponse<EntryClient[Method]> | undefined> {
    const { deadlineMs = DEADLINE_MS } = this.#options;
    try {
      const answer = await callUnary(client, method, request, { deadlineMs });
      const refused = statusesOf(answer as Answered).find(({ code }) => AWAY.has(code));
      if (refused === undefined) return answer;
      this.#noteRefusal(refused.message);
    } catch (error) {
      this.#noteFailure(error);
    }
    while (!this.#isStopped) {
      try {
        await callUnary(client, 'CountEntries', {}, { deadlineMs });
        break;
      } catch (error) {
        this.#noteFailure(error);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
      }
    }
    return undefined;
  }

  #noteFailure(error: unknown): void {
    this.#noteRefusal(errorMessage(error));
    if (!hasReason(error, 'unavailable', 'cancelled', 'deadline_exceeded'))
      this.#problems.push(String(error));
  }

  #noteRefusal(message: string): void {
    this.#refusals.set(message, (this.#refusals.get(message) ?? 0) + 1);
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
}

interface Answered {
  readonly results?: readonly {
    readonly status: { readonly code: number; readonly message: string } | null;
  }[];
}

/** Of each item of a batch. */
function statusesOf({
  results = [],
}: Answered): readonly { readonly code: number; readonly message: string }[] {
  return results.flatMap(({ status: each }) => (each === null ? [] : [each]));
}
