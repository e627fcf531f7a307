/** The commands about the audit log; none of them needs the server. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const auditCommands: readonly ListedCommand[] = [
  {
    path: 'audit verify',
    summary: 'Tells whether the audit log is as the server wrote it',
    load: async () => (await import('./verify.js')).auditVerify,
  },
  {
    path: 'audit search',
    summary: 'Finds records of the audit log',
    load: async () => (await import('./search.js')).auditSearch,
  },
  {
    path: 'audit export',
    summary: 'Prints records of the audit log as OCSF, CEF or JSON lines',
    load: async () => (await import('./export.js')).auditExport,
  },
];
