/** Two teams on one trust domain, each with entries, agents and names that the other must never see. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import type { Attested, InProcessServer } from './server-in-process.js';

const TEAMS = ['alder', 'birch'] as const;
export type Team = (typeof TEAMS)[number];

export const ENTRY = 'spire.api.server.entry.v1.Entry';
export const SVID = 'spire.api.server.svid.v1.SVID';
export const AGENT = 'spire.api.server.agent.v1.Agent';

export const own = (path: string): { trustDomain: string; path: string } => ({
  trustDomain: 'example.org',
  path,
});
export const opsOf = (team: Team): string => `spiffe://example.org/${team}/ops`;
/** `/alder` of which `/alder-lab` is no part. */
export const opsOfLab = 'spiffe://example.org/lab-ops';

function role(team: Team, more: ConfigFile = {}): ConfigFile {
  return {
    name: team,
    spiffe_id_prefix: `spiffe://example.org/${team}/`,
    verbs: ['read', 'create', 'update', 'delete', 'mint', 'read_agents'],
    selectors: [`k8s:ns:${team}`, 'unix:*'],
    parent_ids: [
      `spiffe://example.org/${team}/nodes`,
      `spiffe://example.org/spire/agent/join_token/${team}-token`,
    ],
    may_set: { dns_names: [`*.${team}.example`], ttl: '2h' },
    members: [opsOf(team)],
    ...more,
  };
}

export const CONFIG: ConfigFile = {
  server: { admin_ids: ['spiffe://example.org/alder/chief'] },
  access: {
    roles: [
      role('alder'),
      role('birch'),
      {
        name: 'reader',
        spiffe_id_prefix: 'spiffe://example.org/alder',
        verbs: ['read'],
        members: ['spiffe://example.org/alder/reader'],
      },
      {
        name: 'lab',
        spiffe_id_prefix: 'spiffe://example.org/alder-lab',
        verbs: ['read'],
        members: [opsOfLab],
      },
    ],
  },
};

/** What an entry of the team is like; each of its texts names the team. */
export function entryOf(team: Team, path: string, more: object = {}): object {
  return {
    spiffeId: own(`/${team}/${path}`),
    parentId: own(`/${team}/nodes`),
    selectors: [{ type: 'k8s', value: `ns:${team}` }],
    hint: `${team}-hint`,
    dnsNames: [`web.${team}.example`],
    ...more,
  };
}

export interface Registered {
  readonly ids: Readonly<Record<Team, readonly string[]>>;
  readonly agents: Readonly<Record<Team, Attested>>;
}

/** As operators would: three entries, an alias and an agent of each team. */
export async function register(server: InProcessServer): Promise<Registered> {
  const client = server.local(ENTRY);
  const ids: Record<Team, string[]> = { alder: [], birch: [] };
  const agents: Partial<Record<Team, Attested>> = {};
  for (const team of TEAMS) {
    const agent = await server.attest(await server.createToken(600, `${team}-token`));
    agents[team] = agent;
    const alias = {
      spiffeId: own(`/${team}/nodes`),
      parentId: own(`/spire/agent/join_token/${team}-token`),
      selectors: [
        { type: 'spiffe_id', value: agent.spiffeId },
        { type: 'team', value: team },
      ],
    };
    const entries = [1, 2, 3].map((number) => ({
      id: `${team}-entry-${number}`,
      ...entryOf(team, `web-${number}`),
    }));
    const { results } = await callUnary(client, 'BatchCreateEntry', { entries: [alias, ...entries] });
    for (const { status, entry } of results) {
      if (status?.code !== 0 || !entry) throw new Error(status?.message);
      ids[team].push(entry.id);
    }
  }
  const { alder, birch } = agents;
  if (alder === undefined || birch === undefined) throw new Error('an agent is missing');
  return { ids, agents: { alder, birch } };
}
