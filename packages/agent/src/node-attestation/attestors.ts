/** The node attestors that are built in, by the name under which the configuration chooses one. */
import { z } from 'zod';
import { joinToken } from './join-token.js';
import type { AnyNodeAttestorPlugin, NodeAttestor, NodeAttestorHost } from './node-attestor.js';

const NODE_ATTESTORS = {
  join_token: joinToken,
} as const satisfies Record<string, AnyNodeAttestorPlugin>;

/** An agent proves itself in one way. */
export const nodeAttestorSchema = z.strictObject({
  join_token: NODE_ATTESTORS.join_token.configSchema,
});

export type NodeAttestorConfig = z.infer<typeof nodeAttestorSchema>;

export function createNodeAttestor(config: NodeAttestorConfig, host: NodeAttestorHost): NodeAttestor {
  return NODE_ATTESTORS.join_token.create(config.join_token, host);
}
