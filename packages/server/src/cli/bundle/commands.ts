/** Commands for trust bundles, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const bundleCommands: readonly ListedCommand[] = [
  {
    path: 'bundle show',
    summary: 'Prints the bundle of the own trust domain',
    load: async () => (await import('./show.js')).bundleShow,
  },
  {
    path: 'bundle list',
    summary: 'Prints the bundles of federated trust domains',
    load: async () => (await import('./list.js')).bundleList,
  },
  {
    path: 'bundle set',
    summary: 'Creates or replaces the bundle of a federated trust domain',
    load: async () => (await import('./set.js')).bundleSet,
  },
  {
    path: 'bundle append',
    summary: 'Adds authorities to the bundle of the own trust domain',
    load: async () => (await import('./append.js')).bundleAppend,
  },
  {
    path: 'bundle delete',
    summary: 'Deletes the bundle of a federated trust domain',
    load: async () => (await import('./delete.js')).bundleDelete,
  },
  {
    path: 'bundle count',
    summary: 'Counts bundles',
    load: async () => (await import('./count.js')).bundleCount,
  },
];
