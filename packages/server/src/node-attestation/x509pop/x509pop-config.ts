/** The settings of the attestor `x509pop`, by SPIRE's names. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import { parseAgentPathTemplate } from '../agent-path-template.js';
import { TEMPLATE_FIELDS } from './certificate-facts.js';

const filePath = z.string().min(1);
/** What RSA keys of certificates may have at most, whatever is set. */
const MOST_RSA_BITS = 8192;
/** Longer chains are not looked at, whatever is set. */
const MOST_INTERMEDIATES = 9;

/** Always with a slash at its end: `/spire-exchange` must not let `/spire-exchanges` through. */
const svidPrefix = z
  .string()
  .regex(/^(?:\/[a-zA-Z0-9._-]+)*\/?$/, 'expected a path such as /spire-exchange, or nothing')
  .transform((prefix) => (prefix.endsWith('/') ? prefix : `${prefix}/`));

export const x509PopConfigSchema = z
  .strictObject({
    mode: z.enum(['external_pki', 'spiffe']).default('external_pki'),
    svid_prefix: svidPrefix.optional(),
    /** What SPIRE's program reads in place of what its documentation says. */
    spiffe_prefix: svidPrefix.optional(),
    ca_bundle_path: filePath.optional(),
    ca_bundle_paths: z.array(filePath).min(1).max(100).optional(),
    agent_path_template: z
      .string()
      .superRefine((text, context) => {
        try {
          parseAgentPathTemplate(text, TEMPLATE_FIELDS);
        } catch (error) {
          context.addIssue({ code: 'custom', message: errorMessage(error) });
        }
      })
      .optional(),
    max_intermediates: z.int().min(1).max(MOST_INTERMEDIATES).default(4),
    max_rsa_key_size: z.int().min(1).max(MOST_RSA_BITS).default(MOST_RSA_BITS),
  })
  .superRefine((config, context) => {
    const problem = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message });
    };
    const paths = [config.ca_bundle_path, config.ca_bundle_paths].filter((path) => path !== undefined);
    if (config.mode === 'spiffe' && paths.length > 0) {
      problem(
        'mode',
        'spiffe trusts the bundle of the trust domain; expected neither ca_bundle_path nor ca_bundle_paths',
      );
    }
    if (config.mode === 'external_pki' && paths.length !== 1) {
      problem('ca_bundle_path', 'expected one of ca_bundle_path and ca_bundle_paths');
    }
    if (config.svid_prefix !== undefined && config.spiffe_prefix !== undefined) {
      problem('spiffe_prefix', 'is another name of svid_prefix; expected one of them');
    }
  });

export type X509PopConfig = z.infer<typeof x509PopConfigSchema>;
