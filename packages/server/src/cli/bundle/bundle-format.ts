/** `--format pem|spiffe`: the two forms of a trust bundle as text. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { formatBundlePem, parseBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import type { Bundle__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Bundle';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Option } from 'commander';
import { readInput } from '../read-input.js';

export type BundleFormat = 'pem' | 'spiffe';

const LARGEST_BUNDLE_BYTES = 4 * 1024 * 1024;

export function bundleFormatOption(description: string): Option {
  return valueOption(
    '--format <format>',
    `${description}: pem (X.509 only) or spiffe`,
    oneOf('pem', 'spiffe'),
  ).default('pem');
}

export function trustDomainOption(description: string): Option {
  return valueOption('--id <trust-domain>', description, parseTrustDomainOrId);
}

export function bundleText(bundle: Bundle__Output, format: BundleFormat): string {
  const parsed = bundleFromProto(bundle);
  return format === 'pem' ? formatBundlePem(parsed) : formatBundleDocument(parsed);
}

/** @param path as for `readInput`. @throws BonafideError as `readInput`. */
export function readBundleText(path: string, host: CommandHost): Promise<string> {
  return readInput(path, host, LARGEST_BUNDLE_BYTES);
}

/** @throws BonafideError `invalid_argument` saying what is wrong with the text. */
export function parseBundle(trustDomain: TrustDomain, text: string, format: BundleFormat): TrustBundle {
  return format === 'pem' ? parseBundlePem(trustDomain, text) : parseBundleDocument(trustDomain, text);
}
