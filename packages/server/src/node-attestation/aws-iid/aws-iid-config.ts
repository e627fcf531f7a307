/** What operators say about the `aws_iid` attestor; the keys are SPIRE's unless told otherwise. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { z } from 'zod';
import { parseAgentPathTemplate } from '../agent-path-template.js';

/** As SPIRE's templates name them. */
const PATH_FIELDS = ['InstanceID', 'AccountID', 'Region', 'PluginName', 'TrustDomain', 'Tags'];

const filePath = z.string().min(1);
const accountId = z.string().regex(/^[0-9]{12}$/, 'expected an AWS account ID of 12 digits');
const roleName = z.string().regex(/^[\w+=,.@/-]{1,512}$/, 'expected the name of an IAM role');
const region = z.string().regex(/^[a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}$/, 'expected an AWS region');

const SHORTEST_LIST_SECONDS = 60;

const organizationSchema = z
  .strictObject({
    management_account_id: accountId.optional(),
    management_account_region: region.optional(),
    assume_org_role: roleName.optional(),
    org_account_map_ttl: durationSchema
      .refine((seconds) => seconds >= SHORTEST_LIST_SECONDS, 'expected 1m or more')
      .prefault('3m'),
    account_list_file: filePath.optional(),
  })
  .refine(
    ({ account_list_file: file, management_account_id: account, assume_org_role: role }) =>
      file === undefined
        ? account !== undefined && role !== undefined
        : account === undefined && role === undefined,
    'expected either account_list_file, or management_account_id and assume_org_role',
  );

export const awsIidConfigSchema = z
  .strictObject({
    access_key_id: z.string().min(1).optional(),
    secret_access_key: z.string().min(1).optional(),
    skip_block_device: z.boolean().default(false),
    disable_instance_profile_selectors: z.boolean().default(false),
    assume_role: roleName.optional(),
    partition: z.enum(['aws', 'aws-cn', 'aws-us-gov']).default('aws'),
    /** Their instances need no look at the block device. */
    account_ids_for_local_validation: z.array(accountId).default([]),
    agent_path_template: parsedString((text) => parseAgentPathTemplate(text, PATH_FIELDS)).optional(),
    verify_organization: organizationSchema.optional(),
    /**
     * Of ours. Region to a PEM file of the certificates with which AWS signs identity documents there (the RSA-2048 ones). Documents
     * of other regions are refused.
     */
    verification_certificates: z
      .record(region, filePath)
      .refine((files) => Object.keys(files).length > 0, 'expected at least one region'),
    /** Of ours. Instances of other accounts are refused; absent: the account's role, or its instances, must be open to the server. */
    allowed_account_ids: z.array(accountId).min(1).optional(),
  })
  .refine((config) => (config.access_key_id === undefined) === (config.secret_access_key === undefined), {
    message: 'names one of access_key_id and secret_access_key; expected both or none',
  });

export type AwsIidConfig = z.infer<typeof awsIidConfigSchema>;
export type OrganizationConfig = NonNullable<AwsIidConfig['verify_organization']>;
export type AwsPartition = AwsIidConfig['partition'];
