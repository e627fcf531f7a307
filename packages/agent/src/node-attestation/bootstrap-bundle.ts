/** The first trust: the server's authorities, from a file or from a URL, before the server has ever been spoken to. */
import { readFile } from 'node:fs/promises';
import { parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { parseBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { downloadBundle } from './download-bundle.js';

export type BundleFormat = 'pem' | 'spiffe';

export type BootstrapSource =
  | { readonly kind: 'file'; readonly path: string; readonly format: BundleFormat }
  | { readonly kind: 'url'; readonly url: string; readonly format: BundleFormat }
  /** Whoever answers first is believed. */
  | { readonly kind: 'insecure' };

/**
 * @throws BonafideError `invalid_argument` when what is found is no bundle, `not_found` when there is no such file, `unavailable` when
 * the URL cannot be fetched.
 */
export async function loadBootstrapBundle(
  source: Exclude<BootstrapSource, { kind: 'insecure' }>,
  trustDomain: TrustDomain,
  signal: AbortSignal,
): Promise<TrustBundle> {
  switch (source.kind) {
    case 'file':
      return parseTrustBundle(await readBundleFile(source.path), source.format, trustDomain, source.path);
    case 'url': {
      const text = await downloadBundle(source.url, { signal });
      return parseTrustBundle(text, source.format, trustDomain, source.url);
    }
  }
}

/** @param place where the text was found, for messages. */
export function parseTrustBundle(
  text: string,
  format: BundleFormat,
  trustDomain: TrustDomain,
  place: string,
): TrustBundle {
  let bundle: TrustBundle;
  try {
    bundle = format === 'pem' ? parseBundlePem(trustDomain, text) : parseBundleDocument(trustDomain, text);
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    const hint = formatHint(text, format);
    throw invalidArgument(`trust bundle ${place}: ${errorMessage(error)}${hint}`, error);
  }
  if (bundle.x509Authorities.length === 0) {
    throw invalidArgument(`trust bundle ${place} has no X.509 authority; expected at least one certificate`);
  }
  return bundle;
}

/** The commonest mistake is the other format. */
function formatHint(text: string, format: BundleFormat): string {
  if (format === 'pem' && text.trimStart().startsWith('{')) {
    return '; it looks like a SPIFFE bundle document, for which trust_bundle_format is to be spiffe';
  }
  if (format === 'spiffe' && text.includes('-----BEGIN ')) {
    return '; it looks like PEM, for which trust_bundle_format is to be pem';
  }
  return '';
}

async function readBundleFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'not_found' : 'invalid_argument';
    throw new BonafideError(
      reason,
      `cannot read the trust bundle ${path}: ${errorMessage(cause)}; copy the output of 'bonafide-server bundle show' there`,
      { cause },
    );
  }
}
