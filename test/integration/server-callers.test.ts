/** Invariant 4: every RPC of every service, called by every kind of caller; the table says who may, and the server must agree. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { fromServiceError } from '@bonafide/shared/rpc/status';
import type { Reason } from '@bonafide/shared/errors/bonafide-error';
import { RPC_CALLERS, SERVED_SERVICES } from '@bonafide/server/access/rpc-callers';
import type { Client, MethodDefinition } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callWithNothing } from './call-with-nothing.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const HEALTH = 'grpc.health.v1.Health';
const AGENT = 'spire.api.server.agent.v1.Agent';
const ADMIN_ID = 'spiffe://example.org/admin';

/** What it may do with them is the subject of scoped-admins.test.ts. */
const EVERY_VERB = {
  name: 'team',
  spiffe_id_prefix: 'spiffe://example.org/team/',
  verbs: ['read', 'create', 'update', 'delete', 'mint', 'read_agents'],
  selectors: ['*'],
  parent_ids: ['spiffe://example.org/team/nodes'],
  members: ['spiffe://example.org/team/ops'],
};

type Allowed = 'anyone' | readonly string[];

const callers = [
  'anonymous',
  'workload',
  'agent',
  'banned agent',
  'quarantined agent',
  'evicted agent',
  'superseded agent',
  'admin',
  'admin by entry',
  'downstream',
  'scoped admin',
  'local_admin',
] as const;
type CallerName = (typeof callers)[number];

/** What the table calls them; undefined: they are nobody, and only what is open to anyone is open to them. */
const kinds: Readonly<Record<CallerName, string | undefined>> = {
  anonymous: undefined,
  workload: undefined,
  agent: 'agent',
  'banned agent': undefined,
  'quarantined agent': 'quarantined_agent',
  'evicted agent': undefined,
  'superseded agent': undefined,
  admin: 'admin',
  'admin by entry': 'admin',
  downstream: 'downstream',
  'scoped admin': 'scoped_admin',
  local_admin: 'local_admin',
};

/** What those are told who are no longer what they were. */
const reasons: Partial<Readonly<Record<CallerName, Reason>>> = {
  workload: 'agent_not_attested',
  admin: 'agent_not_attested',
  'admin by entry': 'agent_not_attested',
  downstream: 'agent_not_attested',
  'scoped admin': 'agent_not_attested',
  'banned agent': 'agent_banned',
  'quarantined agent': 'agent_quarantined',
  'evicted agent': 'agent_not_attested',
  'superseded agent': 'agent_not_active',
};

let server: InProcessServer;
const clients = new Map<CallerName, Client>();

beforeAll(async () => {
  server = await InProcessServer.start({
    config: { server: { admin_ids: [ADMIN_ID] }, access: { roles: [EVERY_VERB] } },
  });
  const [agent, banned, quarantined, evicted, superseded] = [
    await server.attestNew(),
    await server.attestNew(),
    await server.attestNew(),
    await server.attestNew(),
    await server.attestNew(),
  ];
  await server.createEntry(agent.spiffeId, '/admin-by-entry', { admin: true });
  await server.createEntry(agent.spiffeId, '/downstream', { downstream: true });
  const local = server.local(AGENT);
  await callUnary(local, 'BanAgent', { id: wireId(banned) });
  await callUnary(local, 'DeleteAgent', { id: wireId(evicted) });
  const admission = server.local('bonafide.attestation.v1.NodeAdmission');
  await callUnary(admission, 'QuarantineAgent', { id: wireId(quarantined), reason: 'test' });
  const current = await server.renew(superseded);
  await callUnary(await server.remote(AGENT, current), 'PostStatus', {});

  const identities: readonly (readonly [CallerName, Attested | undefined])[] = [
    ['anonymous', undefined],
    ['workload', await server.mint('spiffe://example.org/web')],
    ['agent', agent],
    ['banned agent', banned],
    ['quarantined agent', quarantined],
    ['evicted agent', evicted],
    ['superseded agent', superseded],
    ['admin', await server.mint(ADMIN_ID)],
    ['admin by entry', await server.mint('spiffe://example.org/admin-by-entry')],
    ['scoped admin', await server.mint('spiffe://example.org/team/ops')],
    ['downstream', await server.mint('spiffe://example.org/downstream')],
  ];
  for (const [name, identity] of identities) clients.set(name, await server.remote(HEALTH, identity));
  clients.set('local_admin', server.local(HEALTH));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function wireId({ spiffeId }: Attested): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: new URL(spiffeId).pathname };
}

const methods = SERVED_SERVICES.flatMap((name) =>
  Object.values<MethodDefinition<object, object>>(loadService(name).definition),
);

describe('every RPC (invariant 4)', () => {
  it('is in the table, and the table has nothing else', () => {
    expect(methods.map(({ path }) => path).sort()).toEqual(Object.keys(RPC_CALLERS).sort());
  });

  it.each(callers.map((caller) => [caller] as const))(
    'answers or refuses a caller that is %s',
    async (caller) => {
      const client = clients.get(caller);
      if (client === undefined) throw new Error('no such client');
      for (const method of methods) {
        const allowed: Allowed = (RPC_CALLERS as Readonly<Record<string, Allowed>>)[method.path] ?? [];
        const kind = kinds[caller];
        const isAllowed = allowed === 'anyone' || (kind !== undefined && allowed.includes(kind));
        const failure = await callWithNothing(client, method);
        const refusal = `authorization denied for method ${method.path}`;
        if (isAllowed) {
          expect([method.path, failure?.details === refusal]).toEqual([method.path, false]);
          continue;
        }
        expect([method.path, failure?.details]).toEqual([method.path, refusal]);
        const reason = fromServiceError(failure).reason;
        expect([method.path, reason]).toEqual([
          method.path,
          allowed.includes('agent') ? (reasons[caller] ?? 'permission_denied') : 'permission_denied',
        ]);
      }
    },
  );
});
