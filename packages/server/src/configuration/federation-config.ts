/** The `federation` section of the server's configuration: SPIRE's names, and the shape that its HCL has as JSON. */
import {
  parseBundleEndpointUrl,
  type BundleEndpointProfile,
  type FederationRelationship,
} from '@bonafide/shared/bundle/federation-relationship';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { acmeAccountSchema } from '@bonafide/shared/serving-certificate/acme/acme-account-schema';
import { parseDomain } from '@bonafide/shared/serving-certificate/domain-name';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';

const MOST_RELATIONSHIPS = 1000;

const wholeSeconds = durationSchema.refine((seconds) => seconds >= 1, {
  message: 'is shorter than a second; expected for example 5m',
});

const webProfileSchema = z
  .strictObject({
    serving_cert_file: z
      .strictObject({
        cert_file_path: z.string().min(1),
        key_file_path: z.string().min(1),
        /** How often the files are looked at. */
        file_sync_interval: wholeSeconds.prefault('1h'),
      })
      .optional(),
    acme: acmeAccountSchema.extend({ domain_name: parsedString(parseDomainName) }).optional(),
  })
  .refine(({ serving_cert_file: files, acme }) => (files === undefined) !== (acme === undefined), {
    message: 'needs one of serving_cert_file and acme',
  });

const servedProfileSchema = z
  .strictObject({ https_web: webProfileSchema.optional(), https_spiffe: z.strictObject({}).optional() })
  .refine(hasOneProfile, { message: 'needs one of https_web and https_spiffe' });

const bundleEndpointSchema = z.strictObject({
  address: z.string().min(1).default('0.0.0.0'),
  /** 0: any free port, which is logged. */
  port: z.int().min(0).max(65535),
  refresh_hint: wholeSeconds.prefault('5m').transform(Math.round),
  profile: servedProfileSchema,
});

const federatesWithSchema = z.strictObject({
  bundle_endpoint_url: parsedString(parseBundleEndpointUrl),
  bundle_endpoint_profile: z
    .strictObject({
      https_web: z.strictObject({}).optional(),
      https_spiffe: z.strictObject({ endpoint_spiffe_id: parsedString(parseSpiffeId) }).optional(),
    })
    .refine(hasOneProfile, { message: 'needs one of https_web and https_spiffe' }),
});

export const federationSchema = z.strictObject({
  /** Where other trust domains fetch our bundle; none is served when absent. */
  bundle_endpoint: bundleEndpointSchema.optional(),
  /** By trust domain. */
  federates_with: z
    .record(z.string(), federatesWithSchema)
    .superRefine((relationships, context) => {
      for (const name of Object.keys(relationships)) {
        const message = nameProblem(name);
        if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
      }
    })
    .refine((relationships) => Object.keys(relationships).length <= MOST_RELATIONSHIPS, {
      message: `names too many trust domains; at most ${MOST_RELATIONSHIPS} are accepted`,
    })
    .default({}),
});

export type FederationConfig = z.output<typeof federationSchema>;

export function configuredRelationships({
  federates_with: relationships,
}: FederationConfig): readonly FederationRelationship[] {
  return Object.entries(relationships).map(([name, { bundle_endpoint_url: url, ...rest }]) => ({
    trustDomain: parseTrustDomain(name),
    endpoint: { url, profile: profileOf(rest.bundle_endpoint_profile.https_spiffe) },
  }));
}

function profileOf(
  spiffe: z.output<typeof federatesWithSchema>['bundle_endpoint_profile']['https_spiffe'],
): BundleEndpointProfile {
  return spiffe === undefined
    ? { kind: 'https_web' }
    : { kind: 'https_spiffe', endpointId: spiffe.endpoint_spiffe_id };
}

function hasOneProfile(profile: { readonly https_web?: unknown; readonly https_spiffe?: unknown }): boolean {
  return (profile.https_web === undefined) !== (profile.https_spiffe === undefined);
}

function parseDomainName(text: string): string {
  return parseDomain(text.toLowerCase());
}

/** Bare names only, so that two keys never mean the same trust domain. */
function nameProblem(name: string): string | undefined {
  try {
    parseTrustDomain(name);
    return undefined;
  } catch (error) {
    return errorMessage(error);
  }
}
