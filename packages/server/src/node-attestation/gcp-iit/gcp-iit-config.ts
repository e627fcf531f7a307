/** Configuration of `gcp_iit`, with SPIRE's names. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { z } from 'zod';
import { parseAgentPathTemplate } from '../agent-path-template.js';

const texts = z.array(z.string().min(1)).max(10_000);

const DEFAULT_MOST_METADATA_BYTES = 128;

/** What a template can name. */
const TEMPLATE_FIELDS = [
  ...['PluginName', 'ProjectID', 'ProjectNumber', 'Zone', 'InstanceID', 'InstanceName'],
  ...['InstanceCreationTimestamp', 'ServiceAccount'],
] as const;

export type GcpTemplateFields = Readonly<Record<(typeof TEMPLATE_FIELDS)[number], string | number>>;

export const gcpIitConfigSchema = z.strictObject({
  projectid_allow_list: texts.min(1),
  /** Asks the Compute Engine API for tags, labels and metadata. */
  use_instance_metadata: z.boolean().default(false),
  /** With it the API is asked; absent: GOOGLE_APPLICATION_CREDENTIALS, or the service account of the instance this server runs on. */
  service_account_file: z.string().min(1).optional(),
  allowed_label_keys: texts.default([]),
  allowed_metadata_keys: texts.default([]),
  max_metadata_value_size: z
    .int()
    .min(1)
    // That of a selector.
    .max(1_536)
    .default(DEFAULT_MOST_METADATA_BYTES),
  agent_path_template: parsedString((text) => parseAgentPathTemplate(text, TEMPLATE_FIELDS)).optional(),
});

export type GcpIitConfig = z.infer<typeof gcpIitConfigSchema>;

export const DEFAULT_AGENT_PATH = parseAgentPathTemplate(
  '/{{ .PluginName }}/{{ .ProjectID }}/{{ .InstanceID }}',
  TEMPLATE_FIELDS,
);
