/** The node attestors that are built in, by the name under which the configuration chooses one. */
import { z } from 'zod';
import { awsIid } from './aws-iid.js';
import { azureImds } from './azure-imds.js';
import { httpChallenge } from './http-challenge.js';
import { k8sPsat } from './k8s-psat.js';
import { gcpIit } from './gcp-iit.js';
import { joinToken } from './join-token.js';
import { tpm } from './tpm/tpm.js';
import { tpmDevId } from './tpm-devid/tpm-devid.js';
import type { AnyNodeAttestorPlugin, NodeAttestor, NodeAttestorHost } from './node-attestor.js';
import { sshpop } from './sshpop.js';
import { x509pop } from './x509pop.js';

const NODE_ATTESTORS = {
  aws_iid: awsIid,
  azure_imds: azureImds,
  http_challenge: httpChallenge,
  k8s_psat: k8sPsat,
  gcp_iit: gcpIit,
  join_token: joinToken,
  tpm,
  tpm_devid: tpmDevId,
  sshpop,
  x509pop,
} as const satisfies Record<string, AnyNodeAttestorPlugin>;

type AttestorType = keyof typeof NODE_ATTESTORS;
type SchemaOf<Type extends AttestorType> = (typeof NODE_ATTESTORS)[Type]['configSchema'];

const TYPES = Object.keys(NODE_ATTESTORS) as AttestorType[];

/** An agent proves itself in one way. */
export const nodeAttestorSchema = z
  .strictObject(
    Object.fromEntries(TYPES.map((type) => [type, NODE_ATTESTORS[type].configSchema.optional()])) as {
      readonly [Type in AttestorType]: z.ZodOptional<SchemaOf<Type>>;
    },
  )
  .refine((config) => chosen(config).length === 1, {
    message: `expected one node attestor; there are ${TYPES.join(', ')}`,
  });

export type NodeAttestorConfig = z.infer<typeof nodeAttestorSchema>;

export function createNodeAttestor(config: NodeAttestorConfig, host: NodeAttestorHost): NodeAttestor {
  const [type] = chosen(config);
  if (type === undefined) throw new Error('the configuration names no node attestor');
  const plugin: AnyNodeAttestorPlugin = NODE_ATTESTORS[type];
  // What the schema of the same plugin made.
  return plugin.create(config[type] as never, host);
}

function chosen(config: Readonly<Record<AttestorType, unknown>> | object): AttestorType[] {
  return TYPES.filter((type) => (config as Partial<Record<AttestorType, unknown>>)[type] !== undefined);
}
