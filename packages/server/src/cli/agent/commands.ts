/** Commands for agents and nodes that ask to become one, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const agentCommands: readonly ListedCommand[] = [
  {
    path: 'agent list',
    summary: 'Lists attested agents',
    load: async () => (await import('./list.js')).agentList,
  },
  {
    path: 'agent show',
    summary: 'Shows one attested agent with its selectors',
    load: async () => (await import('./show.js')).agentShow,
  },
  {
    path: 'agent count',
    summary: 'Counts attested agents',
    load: async () => (await import('./count.js')).agentCount,
  },
  {
    path: 'agent prove',
    summary: 'Has an agent prove its node now',
    load: async () => (await import('./prove.js')).agentProve,
  },
  {
    path: 'agent quarantine',
    summary: 'Withdraws all that an agent holds until it is released',
    load: async () => (await import('./quarantine.js')).agentQuarantine,
  },
  {
    path: 'agent release',
    summary: 'Ends the quarantine of an agent',
    load: async () => (await import('./release.js')).agentRelease,
  },
  {
    path: 'agent pending',
    summary: 'Lists nodes that wait to be let in',
    load: async () => (await import('./pending.js')).agentPending,
  },
  {
    path: 'agent approve',
    summary: 'Lets a node in that waits for it',
    load: async () => (await import('./decide.js')).agentDecide('approve'),
  },
  {
    path: 'agent deny',
    summary: 'Keeps a node out that asks to be let in',
    load: async () => (await import('./decide.js')).agentDecide('deny'),
  },
  {
    path: 'agent ban',
    summary: 'Cuts an agent off until it is evicted',
    load: async () => (await import('./ban.js')).agentBan,
  },
  {
    path: 'agent evict',
    summary: 'Forgets an agent; it may attest again',
    load: async () => (await import('./evict.js')).agentEvict,
  },
  {
    path: 'agent purge',
    summary: 'Evicts agents whose SVID ended long ago',
    load: async () => (await import('./purge.js')).agentPurge,
  },
];
