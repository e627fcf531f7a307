/** An operator at the server's admin socket: creates entries and deletes them again. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { parseSpiffeId, pathOf, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { credentials } from '@grpc/grpc-js';

const LIMIT_MS = 30_000;
const ENTRIES_A_CALL = 100;

interface NewEntry {
  readonly parentId: SpiffeId;
  readonly spiffeId: SpiffeId;
  readonly selector: string;
}

export class Registry implements Disposable {
  readonly #client: ServiceClient<'spire.api.server.entry.v1.Entry'>;

  constructor(socketPath: string) {
    const { Client } = loadService('spire.api.server.entry.v1.Entry');
    this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  }

  /** @returns the new entry's ID. */
  async create(parentId: SpiffeId, spiffeId: SpiffeId, selector: string): Promise<string> {
    const [id] = await this.#create([{ parentId, spiffeId, selector }]);
    if (id === undefined) throw new Error(`${spiffeId} was not created: no result`);
    return id;
  }

  /** Entries of processes that there are none of. @returns their IDs. */
  async createMany(parentId: SpiffeId, name: string, count: number): Promise<readonly string[]> {
    const entries = Array.from({ length: count }, (_, index) => ({
      parentId,
      spiffeId: parseSpiffeId(`spiffe://${trustDomainOf(parentId)}/${name}/${index}`),
      selector: `unix:path:/none/${index}`,
    }));
    const ids: string[] = [];
    for (let start = 0; start < count; start += ENTRIES_A_CALL) {
      ids.push(...(await this.#create(entries.slice(start, start + ENTRIES_A_CALL))));
    }
    return ids;
  }

  /** A call that reads and changes nothing. */
  async get(id: string): Promise<void> {
    await callUnary(this.#client, 'GetEntry', { id }, { deadlineMs: LIMIT_MS });
  }

  /** @returns the IDs of the entries with the parent. */
  async idsUnder(parentId: SpiffeId): Promise<readonly string[]> {
    const ids: string[] = [];
    for (let pageToken = ''; ;) {
      const page = await callUnary(
        this.#client,
        'ListEntries',
        { filter: { byParentId: onWire(parentId) }, outputMask: {}, pageSize: 500, pageToken },
        { deadlineMs: LIMIT_MS },
      );
      ids.push(...page.entries.map(({ id }) => id));
      pageToken = page.nextPageToken;
      if (pageToken === '') return ids;
    }
  }

  async delete(id: string): Promise<void> {
    await callUnary(this.#client, 'BatchDeleteEntry', { ids: [id] }, { deadlineMs: LIMIT_MS });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #create(entries: readonly NewEntry[]): Promise<readonly string[]> {
    const { results } = await callUnary(
      this.#client,
      'BatchCreateEntry',
      { entries: entries.map(entryOnWire) },
      { deadlineMs: LIMIT_MS },
    );
    return results.map(({ status, entry }) => {
      if (status?.code !== 0 || !entry) throw new Error(`no entry: ${status?.message ?? 'no result'}`);
      return entry.id;
    });
  }
}

function onWire(id: SpiffeId): { readonly trustDomain: string; readonly path: string } {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

function entryOnWire({ parentId, spiffeId, selector }: NewEntry) {
  const colon = selector.indexOf(':');
  const [type, value] = [selector.slice(0, colon), selector.slice(colon + 1)];
  return { parentId: onWire(parentId), spiffeId: onWire(spiffeId), selectors: [{ type, value }] };
}
