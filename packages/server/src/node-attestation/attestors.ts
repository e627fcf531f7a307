/** The node attestors that are built in, by the name under which an agent asks for them and the configuration enables them. */
import { z } from 'zod';
import { awsIid } from './aws-iid/aws-iid.js';
import { azureImds } from './azure-imds/azure-imds.js';
import { httpChallenge } from './http-challenge/http-challenge.js';
import { k8sPsat } from './k8s-psat/k8s-psat.js';
import { gcpIit } from './gcp-iit/gcp-iit.js';
import { joinToken } from './join-token.js';
import { tpm } from './tpm/tpm.js';
import { tpmDevId } from './tpm-devid/tpm-devid.js';
import type { AnyNodeAttestorPlugin, NodeAttestor, NodeAttestorHost } from './node-attestor.js';
import { sshpop } from './sshpop/sshpop.js';
import { x509pop } from './x509pop/x509pop.js';

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

/** Whatever the configuration enables. */
export const BUILT_IN_NODE_ATTESTORS: ReadonlySet<string> = new Set(TYPES);

export const nodeAttestorsSchema = z.strictObject(
  Object.fromEntries(TYPES.map((type) => [type, NODE_ATTESTORS[type].configSchema.optional()])) as {
    readonly [Type in AttestorType]: z.ZodOptional<SchemaOf<Type>>;
  },
);

export type NodeAttestorsConfig = z.infer<typeof nodeAttestorsSchema>;

/** Those that the configuration names. */
export async function createNodeAttestors(
  config: NodeAttestorsConfig,
  host: NodeAttestorHost,
): Promise<ReadonlyMap<string, NodeAttestor>> {
  const attestors = new Map<string, NodeAttestor>();
  for (const type of TYPES) {
    const plugin: AnyNodeAttestorPlugin = NODE_ATTESTORS[type];
    const own = config[type];
    // What the schema of the same plugin made.
    if (own !== undefined) attestors.set(type, await plugin.create(own as never, host));
  }
  return attestors;
}
