/** Attestation of Azure virtual machines by the document that Azure signs over the server's nonce (SPIRE's `azure_imds`). */
import { randomInt } from 'node:crypto';
import { AZURE_METADATA_ENDPOINT } from '@bonafide/shared/cloud/azure-metadata';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseUniqueJsonObject } from '@bonafide/shared/jwt/unique-json';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { agentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { z } from 'zod';
import { configuredAgentId } from '../agent-path-template.js';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { verifyAttestedDocument, type AttestedDocument } from './attested-document.js';
import { azureImdsConfigSchema, type AzureImdsConfig } from './azure-imds-config.js';
import { loadAzureRoots } from './azure-roots.js';
import type { AzureWorld } from './azure-token.js';
import { fetchCertificate, IssuerCertificates, type FetchCertificate } from './issuer-certificates.js';
import { ResourceManager } from './resource-graph.js';
import { findScaleSetMachine } from './scale-set-machine.js';
import { Tenant } from './tenant.js';
import { findVirtualMachine, type VirtualMachine } from './virtual-machine.js';

const TYPE = 'azure_imds';
const NONCE_ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const NONCE_CHARACTERS = 32;
const MAX_ANSWER_BYTES = 128 * 1024;
/** Of everything that is asked for one node. */
const LIMIT_MS = 20_000;

/** As SPIRE's agents answer, too. Nothing of `metadata` is believed: it says where to look. */
const answerSchema = z.object({
  document: z.object({ signature: z.string().min(1) }),
  metadata: z.object({ agentDomain: z.string(), vmssName: z.string().nullish() }),
});

export const azureImds: NodeAttestorPlugin<AzureImdsConfig> = {
  configSchema: azureImdsConfigSchema,
  create: (config, host) =>
    createAzureImds(config, host, {
      login: new URL('https://login.microsoftonline.com/'),
      management: new URL('https://management.azure.com/'),
      metadata: AZURE_METADATA_ENDPOINT,
      environment: process.env,
      fetchCertificate,
    }),
};

/** @throws BonafideError `invalid_argument` when a file that the configuration names cannot be used. */
export async function createAzureImds(
  config: AzureImdsConfig,
  { trustDomain, clock, signal }: Pick<NodeAttestorHost, 'trustDomain' | 'clock' | 'signal'>,
  world: AzureWorld & { readonly fetchCertificate: FetchCertificate },
): Promise<NodeAttestor> {
  const trust = {
    roots: await loadAzureRoots(config.trust_bundle_path),
    metadataDomains: config.allowed_metadata_domains,
    issuers: new IssuerCertificates(world.fetchCertificate),
  };
  const tenants = new Map(
    Object.entries(config.tenants).map(([domain, tenant]) => [
      domain,
      new Tenant({ domain, config: tenant, world, clock, signal }),
    ]),
  );
  const { agent_path_template: template } = config;
  const idOf = ({ subscriptionId, vmId }: AttestedDocument, tenantId: string): SpiffeId => {
    if (template === undefined) return agentId(trustDomain, TYPE, `${tenantId}/${subscriptionId}/${vmId}`);
    const values = { PluginName: TYPE, TenantID: tenantId, SubscriptionID: subscriptionId, VMID: vmId };
    return configuredAgentId(trustDomain, template.render(values));
  };
  return {
    async attest({ now, challenge }) {
      const nonce = createNonce();
      const answer = parseAnswer(await challenge(Buffer.from(nonce)));
      const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
      const { signature } = answer.document;
      const document = await verifyAttestedDocument({ signature, nonce, now, signal: limit }, trust);
      const { agentDomain, vmssName } = answer.metadata;
      const tenant = tenants.get(agentDomain);
      if (tenant === undefined) {
        throw new BonafideError(
          'permission_denied',
          `tenant ${JSON.stringify(agentDomain.slice(0, 253))} is not authorized`,
        );
      }
      const { subscriptionId, vmId } = document;
      if (!tenant.allowsSubscription(subscriptionId))
        throw new BonafideError('permission_denied', `subscription "${subscriptionId}" is not authorized`);
      const tenantId = await tenant.id();
      const azure = new ResourceManager({
        origin: world.management,
        token: await tenant.token(),
        signal: limit,
      });
      const machine = await (vmssName === undefined || vmssName === null
        ? findVirtualMachine({ azure, subscriptionId, vmId })
        : findScaleSetMachine({ azure, subscriptionId, vmId, scaleSetName: vmssName }));
      return {
        agentId: idOf(document, tenantId),
        hasConfiguredPath: template !== undefined,
        selectors: selectorsOf(subscriptionId, machine, tenant.config.allowed_vm_tags),
        canReattest: false,
        // Every process of the machine can have a document signed.
        isTrustedOnFirstUse: true,
      };
    },
  };
}

/** The metadata service takes letters and digits. */
function createNonce(): string {
  const characters = Array.from(
    { length: NONCE_CHARACTERS },
    () => NONCE_ALPHABET[randomInt(NONCE_ALPHABET.length)],
  );
  return characters.join('');
}

function parseAnswer(bytes: Buffer): z.output<typeof answerSchema> {
  if (bytes.length > MAX_ANSWER_BYTES)
    throw invalidArgument(`the answer to the challenge is longer than ${MAX_ANSWER_BYTES} bytes`);
  const parsed = answerSchema.safeParse(parseUniqueJsonObject(bytes, 'answer to the challenge'));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidArgument(`the answer to the challenge is not as expected: ${issue?.path.join('.') ?? ''}`);
}

function selectorsOf(
  subscriptionId: string,
  { name, location, resourceGroup, tags, scaleSet, interfaces }: VirtualMachine,
  allowedTags: readonly string[],
): readonly Selector[] {
  const values = [
    `subscription-id:${subscriptionId}`,
    `vm-name:${name}`,
    `vm-location:${location}`,
    `resource-group:${resourceGroup}`,
    ...(scaleSet === undefined ? [] : [`vmss-name:${scaleSet}`]),
    ...allowedTags.flatMap((tag) => (Object.hasOwn(tags, tag) ? [`vm-tag:${tag}:${tags[tag] ?? ''}`] : [])),
    ...interfaces.flatMap(({ securityGroup, subnets }) => [
      ...(securityGroup === undefined
        ? []
        : [`network-security-group:${securityGroup.resourceGroup}:${securityGroup.name}`]),
      ...subnets.flatMap((subnet) => [
        `virtual-network:${subnet.network}`,
        `virtual-network-subnet:${subnet.network}:${subnet.name}`,
      ]),
    ]),
  ];
  return values.map((value) => createSelector(TYPE, value));
}
