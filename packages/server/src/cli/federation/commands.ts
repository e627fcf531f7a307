/** Commands for relationships with other trust domains, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const federationCommands: readonly ListedCommand[] = [
  {
    path: 'federation create',
    summary: 'Federates with a trust domain: its bundle is fetched from then on',
    load: async () => (await import('./create.js')).federationCreate,
  },
  {
    path: 'federation update',
    summary: 'Replaces federation relationships',
    load: async () => (await import('./update.js')).federationUpdate,
  },
  {
    path: 'federation delete',
    summary: 'Ends a federation relationship',
    load: async () => (await import('./delete.js')).federationDelete,
  },
  {
    path: 'federation list',
    summary: 'Lists federation relationships',
    load: async () => (await import('./list.js')).federationList,
  },
  {
    path: 'federation show',
    summary: 'Shows one federation relationship',
    load: async () => (await import('./show.js')).federationShow,
  },
  {
    path: 'federation refresh',
    summary: "Fetches a federated trust domain's bundle now",
    load: async () => (await import('./refresh.js')).federationRefresh,
  },
];
