/** A server with its audit log, and a client of each kind that may change or issue something. */
import { readFileSync } from 'node:fs';
import { RPC_AUDIT } from '@bonafide/server/access/rpc-audit';
import { RPC_CALLERS, SERVED_SERVICES } from '@bonafide/server/access/rpc-callers';
import { parseRecord, type AuditRecord } from '@bonafide/server/audit/audit-record';
import { ChainVerifier } from '@bonafide/server/audit/verify-chain';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { Client, MethodDefinition } from '@grpc/grpc-js';
import { InProcessServer, type Attested } from './server-in-process.js';

const HEALTH = 'grpc.health.v1.Health';

/** All that change or issue something. */
export const AUDITED_METHODS = SERVED_SERVICES.flatMap((name) =>
  Object.values<MethodDefinition<object, object>>(loadService(name).definition),
).filter(({ path }) => auditOf(path) !== 'read');

export function auditOf(path: string): string {
  return (RPC_AUDIT as Readonly<Record<string, string>>)[path] ?? 'read';
}

export class AuditedServer implements AsyncDisposable {
  readonly server: InProcessServer;
  readonly agent: Attested;
  readonly #clients: ReadonlyMap<string, Client>;

  private constructor(server: InProcessServer, agent: Attested, clients: ReadonlyMap<string, Client>) {
    this.server = server;
    this.agent = agent;
    this.#clients = clients;
  }

  static async start(path?: string): Promise<AuditedServer> {
    const config = path === undefined ? {} : { audit: { file: { path } } };
    const server = await InProcessServer.start({ config });
    const agent = await server.attestNew();
    await server.createEntry(agent.spiffeId, '/downstream', { downstream: true });
    const downstream = await server.mint('spiffe://example.org/downstream');
    const clients = new Map<string, Client>([
      ['local_admin', server.local(HEALTH)],
      ['agent', await server.remote(HEALTH, agent)],
      ['downstream', await server.remote(HEALTH, downstream)],
    ]);
    return new AuditedServer(server, agent, clients);
  }

  get path(): string {
    return this.server.directory.join('data', 'audit', 'audit.log');
  }

  records(path = this.path): readonly AuditRecord[] {
    return readFileSync(path, 'utf8').trimEnd().split('\n').map(parseRecord);
  }

  /** Of what is told of since. */
  async during(work: () => Promise<unknown>): Promise<readonly AuditRecord[]> {
    const before = this.records().length;
    await work();
    return this.records()
      .slice(before)
      .filter(({ event }) => event !== 'audit_checkpoint');
  }

  clientFor(path: string): Client {
    const allowed: 'anyone' | readonly string[] =
      (RPC_CALLERS as Readonly<Record<string, 'anyone' | readonly string[]>>)[path] ?? [];
    const kind =
      allowed === 'anyone' ? 'agent' : [...this.#clients.keys()].find((name) => allowed.includes(name));
    const client = this.#clients.get(kind ?? '');
    if (client === undefined) throw new Error(`nobody may call ${path}`);
    return client;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

/** @returns what is wrong with the chain of records in the file. */
export async function chainProblems(path: string): Promise<readonly unknown[]> {
  const verifier = new ChainVerifier({ keys: [], isOpen: true });
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  for (const [index, line] of lines.entries()) await verifier.add(Buffer.from(line), `${index + 1}`);
  return verifier.end().problems;
}
