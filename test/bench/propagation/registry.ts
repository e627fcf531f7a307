/** An operator at the server's admin socket: creates entries one at a time and deletes them again. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { pathOf, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { credentials } from '@grpc/grpc-js';

const LIMIT_MS = 30_000;

export class Registry implements Disposable {
  readonly #client: ServiceClient<'spire.api.server.entry.v1.Entry'>;

  constructor(socketPath: string) {
    const { Client } = loadService('spire.api.server.entry.v1.Entry');
    this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  }

  /** @returns the new entry's ID. */
  async create(parentId: SpiffeId, spiffeId: SpiffeId, selector: string): Promise<string> {
    const colon = selector.indexOf(':');
    const [type, value] = [selector.slice(0, colon), selector.slice(colon + 1)];
    const { results } = await callUnary(
      this.#client,
      'BatchCreateEntry',
      { entries: [{ parentId: onWire(parentId), spiffeId: onWire(spiffeId), selectors: [{ type, value }] }] },
      { deadlineMs: LIMIT_MS },
    );
    const [result] = results;
    if (result?.status?.code !== 0 || !result.entry)
      throw new Error(`${spiffeId} was not created: ${result?.status?.message ?? 'no result'}`);
    return result.entry.id;
  }

  async delete(id: string): Promise<void> {
    await callUnary(this.#client, 'BatchDeleteEntry', { ids: [id] }, { deadlineMs: LIMIT_MS });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function onWire(id: SpiffeId): { readonly trustDomain: string; readonly path: string } {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}
