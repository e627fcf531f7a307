/** Commands for TPMs that may attest, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const tpmCommands: readonly ListedCommand[] = [
  {
    path: 'tpm enroll',
    summary: 'Lets the machine with a TPM attest',
    load: async () => (await import('./enroll.js')).tpmEnroll,
  },
  {
    path: 'tpm list',
    summary: 'Lists the TPMs that were enrolled',
    load: async () => (await import('./list.js')).tpmList,
  },
  {
    path: 'tpm remove',
    summary: 'Takes a TPM out and bans its agent',
    load: async () => (await import('./remove.js')).tpmRemove,
  },
  {
    path: 'tpm replace',
    summary: 'Puts one TPM in the place of another',
    load: async () => (await import('./replace.js')).tpmReplace,
  },
  {
    path: 'tpm rekey',
    summary: 'Forgets which attestation key a TPM had',
    load: async () => (await import('./rekey.js')).tpmRekey,
  },
  {
    path: 'tpm baseline',
    summary: 'Prints what a node showed last as a golden set',
    load: async () => (await import('./baseline.js')).tpmBaseline,
  },
];
