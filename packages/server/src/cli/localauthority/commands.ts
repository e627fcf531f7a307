/** Commands for the server's own authorities, by name. */
import type { ListedCommand } from '@bonafide/shared/cli/program';

export const localauthorityCommands: readonly ListedCommand[] = [
  {
    path: 'localauthority x509 show',
    summary: 'Shows the X.509 authorities: the active, the prepared and the last old one',
    load: async () => (await import('./show.js')).authorityShow('x509'),
  },
  {
    path: 'localauthority x509 prepare',
    summary: 'Makes and publishes a new X.509 authority',
    load: async () => (await import('./change.js')).authorityChange('x509', 'prepare'),
  },
  {
    path: 'localauthority x509 activate',
    summary: 'Lets the prepared X.509 authority sign',
    load: async () => (await import('./change.js')).authorityChange('x509', 'activate'),
  },
  {
    path: 'localauthority x509 taint',
    summary: 'Marks an old X.509 authority, so that all it signed is replaced',
    load: async () => (await import('./change.js')).authorityChange('x509', 'taint'),
  },
  {
    path: 'localauthority x509 revoke',
    summary: 'Removes a tainted X.509 authority from the bundle',
    load: async () => (await import('./change.js')).authorityChange('x509', 'revoke'),
  },
  {
    path: 'localauthority jwt show',
    summary: 'Shows the JWT authorities: the active, the prepared and the last old one',
    load: async () => (await import('./show.js')).authorityShow('jwt'),
  },
  {
    path: 'localauthority jwt prepare',
    summary: 'Makes and publishes a new JWT authority',
    load: async () => (await import('./change.js')).authorityChange('jwt', 'prepare'),
  },
  {
    path: 'localauthority jwt activate',
    summary: 'Lets the prepared JWT authority sign',
    load: async () => (await import('./change.js')).authorityChange('jwt', 'activate'),
  },
  {
    path: 'localauthority jwt taint',
    summary: 'Marks an old JWT authority, so that all it signed is replaced',
    load: async () => (await import('./change.js')).authorityChange('jwt', 'taint'),
  },
  {
    path: 'localauthority jwt revoke',
    summary: 'Removes a tainted JWT authority from the bundle',
    load: async () => (await import('./change.js')).authorityChange('jwt', 'revoke'),
  },
  {
    path: 'localauthority wit show',
    summary: 'Shows the WIT authorities: the active, the prepared and the last old one',
    load: async () => (await import('./show.js')).authorityShow('wit'),
  },
  {
    path: 'localauthority wit prepare',
    summary: 'Makes and publishes a new WIT authority',
    load: async () => (await import('./change.js')).authorityChange('wit', 'prepare'),
  },
  {
    path: 'localauthority wit activate',
    summary: 'Lets the prepared WIT authority sign',
    load: async () => (await import('./change.js')).authorityChange('wit', 'activate'),
  },
  {
    path: 'localauthority wit taint',
    summary: 'Marks an old WIT authority, so that all it signed is replaced',
    load: async () => (await import('./change.js')).authorityChange('wit', 'taint'),
  },
  {
    path: 'localauthority wit revoke',
    summary: 'Removes a tainted WIT authority from the bundle',
    load: async () => (await import('./change.js')).authorityChange('wit', 'revoke'),
  },
];
