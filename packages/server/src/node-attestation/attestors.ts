/** The node attestors that are built in, by the name under which an agent asks for them and the configuration enables them. */
import { z } from 'zod';
import { joinToken } from './join-token.js';
import type { NodeAttestor, NodeAttestorHost } from './node-attestor.js';

/** Whatever its configuration is; each is created below with its own. */
interface AnyPlugin {
  readonly configSchema: z.ZodType;
  readonly create: (config: never, host: NodeAttestorHost) => NodeAttestor;
}

const NODE_ATTESTORS = {
  join_token: joinToken,
} as const satisfies Record<string, AnyPlugin>;

export const nodeAttestorsSchema = z.strictObject({
  join_token: NODE_ATTESTORS.join_token.configSchema.optional(),
});

export type NodeAttestorsConfig = z.infer<typeof nodeAttestorsSchema>;

/** Those that the configuration names. */
export function createNodeAttestors(
  config: NodeAttestorsConfig,
  host: NodeAttestorHost,
): ReadonlyMap<string, NodeAttestor> {
  const attestors = new Map<string, NodeAttestor>();
  if (config.join_token !== undefined) {
    attestors.set('join_token', NODE_ATTESTORS.join_token.create(config.join_token, host));
  }
  return attestors;
}
