/** `config`: SPIRE's file as ours, and the schema of ours. */
import { configCommands as commandsFor } from '@bonafide/shared/cli/config-commands';

export const configCommands = commandsFor({
  kind: 'agent',
  load: async () => {
    const [{ agentConfigSchema: schema }, { agentTranslation: translation }] = await Promise.all([
      import('../configuration/agent-config.js'),
      import('../configuration/spire/agent-translation.js'),
    ]);
    return { schema, translation };
  },
});
