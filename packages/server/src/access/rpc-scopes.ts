/** How each RPC that scoped admins may call keeps within their roles. The compiler refuses a table that misses one, or names another. */
import type { Verb } from './access-role.js';
import type { RPC_CALLERS } from './rpc-callers.js';

type Table = typeof RPC_CALLERS;
/** What the table of callers opens to scoped admins. */
export type ScopedRpc = {
  [Path in keyof Table]: Table[Path] extends readonly (infer Kind)[]
    ? 'scoped_admin' extends Kind
      ? Path
      : never
    : never;
}[keyof Table];

export interface RpcScope {
  /** Without a role that has one of them the call is refused at the gate; undefined: a role is enough. */
  readonly verbs: readonly Verb[] | undefined;
  /**
   * `filtered`: the handler looks through the eyes of the caller, and what is outside is not there; `each item`: and each thing that it is
   * to write or sign is held against the roles; `of the caller`: it tells of nobody but the caller.
   */
  readonly enforcement: 'filtered' | 'each item' | 'of the caller';
}

const SEE: RpcScope = { verbs: ['read'], enforcement: 'filtered' };
const SEE_AGENTS: RpcScope = { verbs: ['read_agents'], enforcement: 'filtered' };
const MINT: RpcScope = { verbs: ['mint'], enforcement: 'each item' };

const OWN: RpcScope = { verbs: undefined, enforcement: 'of the caller' };

export const RPC_SCOPES = {
  '/bonafide.access.v1.Access/ListRoles': OWN,
  '/bonafide.access.v1.Access/ExplainAccess': OWN,

  '/bonafide.entry.v1.EntryExplanation/ExplainEntry': SEE,
  '/bonafide.entry.v1.EntryPlan/PlanEntries': SEE,
  '/bonafide.entry.v1.EntryPlan/ApplyEntries': {
    verbs: ['create', 'update', 'delete'],
    enforcement: 'each item',
  },

  '/bonafide.sync.v1.Delivery/WaitForDelivery': SEE_AGENTS,

  '/spire.api.server.agent.v1.Agent/CountAgents': SEE_AGENTS,
  '/spire.api.server.agent.v1.Agent/ListAgents': SEE_AGENTS,
  '/spire.api.server.agent.v1.Agent/GetAgent': SEE_AGENTS,

  '/spire.api.server.entry.v1.Entry/CountEntries': SEE,
  '/spire.api.server.entry.v1.Entry/ListEntries': SEE,
  '/spire.api.server.entry.v1.Entry/GetEntry': SEE,
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': { verbs: ['create'], enforcement: 'each item' },
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': { verbs: ['update'], enforcement: 'each item' },
  '/spire.api.server.entry.v1.Entry/BatchDeleteEntry': { verbs: ['delete'], enforcement: 'each item' },

  '/spire.api.server.svid.v1.SVID/MintX509SVID': MINT,
  '/spire.api.server.svid.v1.SVID/MintJWTSVID': MINT,
  '/spire.api.server.svid.v1.SVID/MintWITSVID': MINT,
} as const satisfies Record<ScopedRpc, RpcScope>;

const scopes: ReadonlyMap<string, RpcScope> = new Map(Object.entries(RPC_SCOPES));

/** Undefined for an RPC that scoped admins may not call. */
export function rpcScope(path: string): RpcScope | undefined {
  return scopes.get(path);
}
