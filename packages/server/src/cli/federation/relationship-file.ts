/** Relationships from a file, in SPIRE's form `{"federationRelationships": [...]}`, JSON or YAML; every mistake is told with its place. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { parseBundleEndpointUrl } from '@bonafide/shared/bundle/federation-relationship';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { FederationRelationship } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';
import { inputName, readInput } from '../read-input.js';
import { relationshipMessage } from './relationship-message.js';

const LARGEST_FILE_BYTES = 64 * 1024 * 1024;

const relationshipSchema = z.strictObject({
  trustDomain: parsedString(parseTrustDomainOrId),
  bundleEndpointURL: parsedString(parseBundleEndpointUrl),
  bundleEndpointProfile: z.enum(['https_web', 'https_spiffe']),
  endpointSPIFFEID: parsedString(parseSpiffeId).optional(),
  /** PEM as text, or a SPIFFE bundle document as it is. */
  trustDomainBundle: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
  trustDomainBundleFormat: z.enum(['pem', 'spiffe']).optional(),
});

const fileSchema = z.strictObject({ federationRelationships: z.array(relationshipSchema).min(1) });

/** @param path `-` for standard input. @throws BonafideError `invalid_argument` listing all mistakes of one kind. */
export async function readRelationshipFile(
  path: string,
  host: CommandHost,
): Promise<readonly FederationRelationship[]> {
  const text = await readInput(path, host, LARGEST_FILE_BYTES);
  const { federationRelationships } = parseConfig(inputName(path), text, fileSchema);
  return federationRelationships.map((item, index) => {
    try {
      return relationshipMessage({
        trustDomain: item.trustDomain,
        url: item.bundleEndpointURL,
        profile: item.bundleEndpointProfile,
        endpointId: item.endpointSPIFFEID,
        bundle: bundleOf(item),
      });
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      throw invalidArgument(`could not parse item ${index}: ${error.message}`, error);
    }
  });
}

function bundleOf({
  trustDomainBundle: bundle,
  trustDomainBundleFormat: format,
}: z.output<typeof relationshipSchema>): Parameters<typeof relationshipMessage>[0]['bundle'] {
  if (bundle === undefined) return undefined;
  if (format === undefined) throw invalidArgument('bundle format "" is unsupported: expected pem or spiffe');
  if (typeof bundle === 'string') return { text: bundle, format };
  if (format === 'pem') throw invalidArgument('a bundle in PEM is text');
  return { text: JSON.stringify(bundle), format };
}
