/** Attestation by the identity token of a Google Compute Engine instance. IDs and selectors are SPIRE's. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { HttpTls } from '@bonafide/shared/http/send-request';
import { createSelector } from '@bonafide/shared/registration/selector';
import { configuredAgentId } from '../agent-path-template.js';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { COMPUTE_API, instanceSelectorValues, readComputeInstance } from './compute-instance.js';
import {
  DEFAULT_AGENT_PATH,
  gcpIitConfigSchema,
  type GcpIitConfig,
  type GcpTemplateFields,
} from './gcp-iit-config.js';
import { GoogleCredentials } from './google-credentials.js';
import { GoogleKeys } from './google-keys.js';
import { verifyIdentityToken, type InstanceIdentity } from './identity-token.js';

const TYPE = 'gcp_iit';

/** What tests set otherwise: Google. */
interface GoogleWorld {
  readonly keysUrl?: URL;
  readonly computeApi?: URL;
  readonly metadataEndpoint?: URL;
  readonly tls?: HttpTls;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

type Host = Pick<NodeAttestorHost, 'trustDomain' | 'clock' | 'log' | 'signal'>;

export const gcpIit: NodeAttestorPlugin<GcpIitConfig> = {
  configSchema: gcpIitConfigSchema,
  create: (config, host) => createGcpIit(config, host),
};

export function createGcpIit(config: GcpIitConfig, host: Host, world: GoogleWorld = {}): NodeAttestor {
  const { trustDomain, clock, log, signal } = host;
  const { tls, environment = process.env } = world;
  const keys = new GoogleKeys({ clock, signal, url: world.keysUrl, tls });
  const credentials = new GoogleCredentials({
    file: config.service_account_file ?? environment['GOOGLE_APPLICATION_CREDENTIALS'],
    ...{ clock, signal, tls, metadataEndpoint: world.metadataEndpoint },
  });

  async function selectorValuesOfInstance(identity: InstanceIdentity): Promise<readonly string[]> {
    if (!config.use_instance_metadata) return [];
    const api = world.computeApi ?? COMPUTE_API;
    const accessToken = await credentials.accessToken();
    const instance = await readComputeInstance(identity, { api, accessToken, signal, tls });
    return instanceSelectorValues(instance, config);
  }

  return {
    async attest({ payload, now }) {
      const identity = await verifyIdentityToken(payload.toString('latin1'), keys, now).catch(explain);
      const { projectId, zone, instanceName, serviceAccount } = identity;
      if (!config.projectid_allow_list.includes(projectId)) {
        const message = `identity token project ID ${JSON.stringify(projectId)} is not in the allow list`;
        throw new BonafideError('permission_denied', message);
      }
      const template = config.agent_path_template ?? DEFAULT_AGENT_PATH;
      const values = [
        ...[
          `project-id:${projectId}`,
          `zone:${zone}`,
          `instance-name:${instanceName}`,
          `sa:${serviceAccount}`,
        ],
        ...(await selectorValuesOfInstance(identity).catch(explain)),
      ];
      return {
        agentId: configuredAgentId(trustDomain, template.render(templateFieldsOf(identity))),
        hasConfiguredPath: config.agent_path_template !== undefined,
        selectors: values.map((value) => createSelector(TYPE, value)),
        // Whatever runs on the instance can have a token made.
        canReattest: false,
        isTrustedOnFirstUse: true,
      };
    },
  };

  /** What stands between Google and us is for the log. */
  function explain(error: unknown): never {
    if (!hasReason(error, 'unavailable', 'failed_precondition')) throw error;
    log.warn({ err: error }, 'Google gives no word on an instance');
    const message = 'cannot ask Google about the instance; the log of the server says why';
    throw new BonafideError(error.reason, message, { cause: error });
  }
}

function templateFieldsOf(identity: InstanceIdentity): GcpTemplateFields {
  return {
    PluginName: TYPE,
    ProjectID: identity.projectId,
    ProjectNumber: identity.projectNumber,
    Zone: identity.zone,
    InstanceID: identity.instanceId,
    InstanceName: identity.instanceName,
    InstanceCreationTimestamp: identity.instanceCreationTimestamp,
    ServiceAccount: identity.serviceAccount.replaceAll('@', '_'),
  };
}
