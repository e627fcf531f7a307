/** `config`: SPIRE's file as ours, and the schema of ours. */
import { configCommands as commandsFor } from '@bonafide/shared/cli/config-commands';

export const configCommands = commandsFor({
  kind: 'server',
  load: async () => {
    const [{ serverConfigSchema: schema }, { serverTranslation: translation }] = await Promise.all([
      import('../configuration/server-config.js'),
      import('../configuration/spire/server-translation.js'),
    ]);
    return { schema, translation };
  },
});
