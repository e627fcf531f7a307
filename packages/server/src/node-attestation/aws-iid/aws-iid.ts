/** Attestation of EC2 instances by their signed identity document, and by what the EC2 API says of them (SPIRE's `aws_iid`). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { agentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { configuredAgentId } from '../agent-path-template.js';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { AccountAccess } from './account-access.js';
import { CachedCredentials, ownCredentials, type LoadCredentials } from './aws-credentials.js';
import { awsIidConfigSchema, type AwsIidConfig } from './aws-iid-config.js';
import { AwsApi, awsEndpoints, type AwsEndpoints } from './aws-request.js';
import { checkBlockDevice } from './block-device.js';
import { describeInstance, type Ec2Instance } from './ec2-instance.js';
import { verifyIdentityDocument, type IdentityDocument } from './identity-document.js';
import { rolesOfInstanceProfile } from './instance-profile.js';
import { OrganizationAccounts } from './organization-accounts.js';
import { loadRegionCertificates } from './region-certificates.js';

const TYPE = 'aws_iid';
/** Of everything that AWS is asked for one node. */
const LIMIT_MS = 20_000;

/** Where AWS is, and how it is asked. */
interface AwsWorld {
  readonly endpoints: AwsEndpoints;
  readonly loadCredentials: LoadCredentials;
}

export const awsIid: NodeAttestorPlugin<AwsIidConfig> = {
  configSchema: awsIidConfigSchema,
  create: (config, host) =>
    createAwsIid(config, host, {
      endpoints: awsEndpoints(config.partition),
      loadCredentials: ownCredentials(config, process.env),
    }),
};

/** @throws BonafideError `invalid_argument` when a file that the configuration names cannot be used. */
export async function createAwsIid(
  config: AwsIidConfig,
  { trustDomain, clock, signal }: Pick<NodeAttestorHost, 'trustDomain' | 'clock' | 'signal'>,
  { endpoints, loadCredentials }: AwsWorld,
): Promise<NodeAttestor> {
  const trusted = await loadRegionCertificates(config.verification_certificates);
  const api = new AwsApi({ endpoints, clock });
  const own = new CachedCredentials(loadCredentials, clock);
  const access = new AccountAccess({ api, own, partition: config.partition, clock, signal });
  const { verify_organization: organizationConfig } = config;
  const organization =
    organizationConfig === undefined
      ? undefined
      : new OrganizationAccounts({ config: organizationConfig, api, access, clock, signal });
  await organization?.check();
  return {
    async attest({ payload, now }) {
      const document = await verifyIdentityDocument(payload, trusted, now);
      const { accountId, region } = document;
      // Before anything is asked of AWS: a signed document can be had by everybody who rents an instance.
      if (config.allowed_account_ids?.includes(accountId) === false)
        throw new BonafideError(
          'permission_denied',
          `AWS account ${accountId} is not of allowed_account_ids`,
        );
      if (organization !== undefined && !(await organization.includes(accountId))) {
        throw new BonafideError(
          'permission_denied',
          `AWS account ${accountId} is not an active account of the organization`,
        );
      }
      const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
      const credentials = await access.credentials(accountId, region, config.assume_role);
      const instance = await describeInstance({ api, credentials, document, signal: limit });
      if (!config.skip_block_device && !config.account_ids_for_local_validation.includes(accountId))
        checkBlockDevice(instance);
      const profileArn = instance.iamInstanceProfile?.arn;
      const roles =
        profileArn === undefined || config.disable_instance_profile_selectors
          ? []
          : await rolesOfInstanceProfile({ api, credentials, region, profileArn, signal: limit });
      return {
        agentId: idOf(document, instance, config, trustDomain),
        hasConfiguredPath: config.agent_path_template !== undefined,
        selectors: selectorsOf(document, instance, roles),
        canReattest: false,
        // Every process of the instance can fetch the document.
        isTrustedOnFirstUse: true,
      };
    },
  };
}

function idOf(
  { accountId, region, instanceId }: IdentityDocument,
  { tagSet }: Ec2Instance,
  { agent_path_template: template }: AwsIidConfig,
  trustDomain: TrustDomain,
): SpiffeId {
  if (template === undefined) return agentId(trustDomain, TYPE, `${accountId}/${region}/${instanceId}`);
  const path = template.render({
    InstanceID: instanceId,
    AccountID: accountId,
    Region: region,
    PluginName: TYPE,
    TrustDomain: trustDomain,
    Tags: Object.fromEntries(tagSet.map(({ key, value }) => [key, value])),
  });
  return configuredAgentId(trustDomain, path);
}

function selectorsOf(
  document: IdentityDocument,
  { tagSet, groupSet }: Ec2Instance,
  roles: readonly string[],
): readonly Selector[] {
  const values = [
    `account_id:${document.accountId}`,
    `az:${document.availabilityZone}`,
    `image:id:${document.imageId}`,
    `instance:id:${document.instanceId}`,
    `region:${document.region}`,
    ...tagSet.map(({ key, value }) => `tag:${key}:${value}`),
    ...groupSet.flatMap(({ groupId, groupName }) => [`sg:id:${groupId}`, `sg:name:${groupName}`]),
    ...roles.map((arn) => `iamrole:${arn}`),
  ];
  return values.map((value) => createSelector(TYPE, value));
}
