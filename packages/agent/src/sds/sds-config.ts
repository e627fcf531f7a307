/** The agent's `sds` block, by SPIRE's names: how the secrets without a SPIFFE ID are called, and what Envoy is to judge others by. */
import { z } from 'zod';

const name = z.string().min(1).max(256);

const KEYS = ['default_svid_name', 'default_bundle_name', 'default_all_bundles_name'] as const;

export const sdsConfigSchema = z
  .strictObject({
    /** The caller's first SVID. */
    default_svid_name: name.default('default'),
    /** The bundle of our own trust domain. */
    default_bundle_name: name.default('ROOTCA'),
    /** That one and those of the trust domains that the caller's entries federate with. */
    default_all_bundles_name: name.default('ALL'),
    /** Bundles without Envoy's SPIFFE validator, unless an Envoy's own metadata asks for it. */
    disable_spiffe_cert_validation: z.boolean().default(false),
  })
  .superRefine((config, context) => {
    for (const [index, key] of KEYS.entries()) {
      const other = KEYS.slice(0, index).find((earlier) => config[earlier] === config[key]);
      if (other === undefined) continue;
      const message = `is the same as ${other}; expected a name of its own`;
      context.addIssue({ code: 'custom', path: [key], message });
    }
  });

export type SdsConfig = z.output<typeof sdsConfigSchema>;
