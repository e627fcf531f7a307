/** The flags of `federation create` and `federation update`: one relationship, or a file of them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { parseBundleEndpointUrl } from '@bonafide/shared/bundle/federation-relationship';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { FederationRelationship } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { readBundleText, type BundleFormat } from '../bundle/bundle-format.js';
import { relationshipMessage } from './relationship-message.js';

export interface RelationshipFlags {
  readonly trustDomain?: TrustDomain;
  readonly bundleEndpointUrl?: string;
  readonly bundleEndpointProfile?: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: SpiffeId;
  readonly trustDomainBundlePath?: string;
  readonly trustDomainBundleFormat?: BundleFormat;
  readonly data?: string;
}

const FLAGS = {
  trustDomain: '--trust-domain',
  bundleEndpointUrl: '--bundle-endpoint-url',
  bundleEndpointProfile: '--bundle-endpoint-profile',
  endpointSpiffeId: '--endpoint-spiffe-id',
  trustDomainBundlePath: '--trust-domain-bundle-path',
  trustDomainBundleFormat: '--trust-domain-bundle-format',
} as const satisfies Partial<Record<keyof RelationshipFlags, string>>;

export function addRelationshipFlags(command: Command): Command {
  return command
    .addOption(
      valueOption('--trust-domain <name>', 'the trust domain to federate with', parseTrustDomainOrId),
    )
    .addOption(
      valueOption(
        '--bundle-endpoint-url <url>',
        'where its bundle is fetched, for example https://other.example:8443',
        parseBundleEndpointUrl,
      ),
    )
    .addOption(
      valueOption(
        '--bundle-endpoint-profile <profile>',
        'how the endpoint authenticates itself: https_web or https_spiffe',
        oneOf('https_web', 'https_spiffe'),
      ),
    )
    .addOption(
      valueOption(
        '--endpoint-spiffe-id <id>',
        'SPIFFE ID of the endpoint; with https_spiffe only',
        parseSpiffeId,
      ),
    )
    .option('--trust-domain-bundle-path <file>', 'a bundle of the trust domain to begin with')
    .addOption(
      valueOption(
        '--trust-domain-bundle-format <format>',
        'what that is written in: pem (the default, X.509 only) or spiffe',
        oneOf('pem', 'spiffe'),
      ),
    )
    .option(
      '--data <file>',
      "relationships from a JSON or YAML file, '-' for standard input; goes with no other of these flags",
    );
}

/** @throws BonafideError `invalid_argument` naming what is missing or does not go together. */
export async function relationshipsFromFlags(
  flags: RelationshipFlags,
  host: CommandHost,
): Promise<readonly FederationRelationship[]> {
  if (flags.data === undefined) return [await relationshipFromFlags(flags, host)];
  for (const [name, flag] of Object.entries(FLAGS)) {
    if (flags[name as keyof typeof FLAGS] !== undefined) {
      throw invalidArgument(`--data takes the whole relationship from a file; leave out ${flag}`);
    }
  }
  const { readRelationshipFile } = await import('./relationship-file.js');
  return readRelationshipFile(flags.data, host);
}

async function relationshipFromFlags(
  flags: RelationshipFlags,
  host: CommandHost,
): Promise<FederationRelationship> {
  const { trustDomain, bundleEndpointUrl, bundleEndpointProfile: profile, endpointSpiffeId } = flags;
  if (trustDomain === undefined) {
    throw invalidArgument('trust domain is required; add --trust-domain, for example other.example');
  }
  if (bundleEndpointUrl === undefined) {
    throw invalidArgument('bundle endpoint URL is required; add --bundle-endpoint-url');
  }
  if (profile === undefined) {
    throw invalidArgument(
      'bundle endpoint profile is required; add --bundle-endpoint-profile https_web or https_spiffe',
    );
  }
  const { trustDomainBundlePath: path, trustDomainBundleFormat: format = 'pem' } = flags;
  return relationshipMessage({
    trustDomain,
    url: bundleEndpointUrl,
    profile,
    endpointId: endpointSpiffeId,
    bundle: path === undefined ? undefined : { text: await readBundleText(path, host), format },
  });
}
