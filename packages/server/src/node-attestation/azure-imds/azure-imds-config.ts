/** What operators say about the `azure_imds` attestor; the keys are SPIRE's. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { z } from 'zod';
import { parseAgentPathTemplate } from '../agent-path-template.js';

/** As SPIRE's templates name them. */
const PATH_FIELDS = ['PluginName', 'TenantID', 'SubscriptionID', 'VMID'];

export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const filePath = z.string().min(1);
const domain = z
  .string()
  .regex(/^(?=.{1,253}$)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*$/, 'expected a domain name');
const appId = z.string().regex(/^[\w-]{1,128}$/, 'expected an application (client) ID');

const tenantSchema = z
  .strictObject({
    secret_auth: z.strictObject({ app_id: appId, app_secret: z.string().min(1) }).optional(),
    /** The file is read again for every token. */
    token_auth: z.strictObject({ app_id: appId, token_path: filePath }).optional(),
    restrict_to_subscriptions: z.array(z.string().regex(UUID, 'expected a subscription ID')).default([]),
    allowed_vm_tags: z.array(z.string().min(1)).default([]),
  })
  .refine((tenant) => tenant.secret_auth === undefined || tenant.token_auth === undefined, {
    message: 'names secret_auth and token_auth; expected at most one of them',
  });

export const azureImdsConfigSchema = z.strictObject({
  tenants: z
    .record(domain, tenantSchema)
    .refine((tenants) => Object.keys(tenants).length > 0, 'expected at least one tenant'),
  agent_path_template: parsedString((text) => parseAgentPathTemplate(text, PATH_FIELDS)).optional(),
  allowed_metadata_domains: z.array(domain).min(1).default(['metadata.azure.com']),
  trust_bundle_path: filePath.optional(),
});

export type AzureImdsConfig = z.infer<typeof azureImdsConfigSchema>;
export type TenantConfig = AzureImdsConfig['tenants'][string];
