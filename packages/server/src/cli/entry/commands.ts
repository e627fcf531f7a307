/** Commands for registration entries, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const entryCommands: readonly ListedCommand[] = [
  {
    path: 'entry create',
    summary: 'Creates registration entries',
    load: async () => (await import('./create.js')).entryCreate,
  },
  {
    path: 'entry update',
    summary: 'Replaces registration entries',
    load: async () => (await import('./update.js')).entryUpdate,
  },
  {
    path: 'entry delete',
    summary: 'Deletes registration entries',
    load: async () => (await import('./delete.js')).entryDelete,
  },
  {
    path: 'entry show',
    summary: 'Shows registration entries',
    load: async () => (await import('./show.js')).entryShow,
  },
  {
    path: 'entry count',
    summary: 'Counts registration entries',
    load: async () => (await import('./count.js')).entryCount,
  },
  {
    path: 'entry plan',
    summary: 'Tells what a file of entries would change, for which agents and processes',
    load: async () => (await import('./plan.js')).entryPlan,
  },
  {
    path: 'entry apply',
    summary: 'Makes the registry as a file of entries says, in one revision',
    load: async () => (await import('./apply.js')).entryApply,
  },
  {
    path: 'entry explain',
    summary: 'Tells who may hold an entry, who does, and what stands in the way',
    load: async () => (await import('./explain.js')).entryExplain,
  },
];
