/** `config`: SPIRE's file as ours, and the schema of ours. */
import { configCommands as commandsFor } from '@bonafide/shared/cli/config-commands';

export const configCommands = commandsFor({
  kind: 'oidc',
  load: async () => {
    const [{ oidcConfigSchema: schema }, { oidcTranslation: translation }] = await Promise.all([
      import('../configuration/oidc-config.js'),
      import('../configuration/spire/oidc-translation.js'),
    ]);
    return { schema, translation };
  },
});
