/** The one call of Vault's PKI engine that we need: it signs our CA certificate and says which chain leads to its root. */
import { decodePem, encodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { MintedX509Authority, X509AuthorityRequest } from '../upstream-authority.js';
import { objectIn, type VaultAnswer } from './vault-client.js';

const MAX_CHAIN = 10;

export function signIntermediateBody(
  { csr, preferredTtlSeconds }: X509AuthorityRequest,
  trustDomain: TrustDomain,
): Readonly<Record<string, string | boolean>> {
  return {
    csr: encodePem('CERTIFICATE REQUEST', csr),
    format: 'pem',
    common_name: trustDomain,
    // A name of a person's kind: without this Vault would list it among the DNS names.
    exclude_cn_from_sans: true,
    country: 'US',
    organization: 'SPIFFE',
    uri_sans: trustDomainId(trustDomain),
    ttl: `${preferredTtlSeconds}s`,
  };
}

/**
 * The last certificate of the chain is the trust anchor, as in SPIRE; newer Vaults put the signed certificate first into the chain.
 * @throws BonafideError `failed_precondition` for an answer that is no such thing.
 */
export function readSignedIntermediate(answer: VaultAnswer): MintedX509Authority {
  const data = objectIn(answer, 'data') ?? {};
  const [authority] = certificatesOf(data['certificate'], 'certificate');
  const [issuer] = certificatesOf(data['issuing_ca'], 'issuing_ca');
  if (authority === undefined || issuer === undefined) throw malformed('certificate', 'is missing');
  const chain = data['ca_chain'] === undefined ? [] : certificatesOf(data['ca_chain'], 'ca_chain');
  if (chain.length > MAX_CHAIN) throw malformed('ca_chain', `has more than ${MAX_CHAIN} certificates`);
  const above = unique([issuer, ...chain]).filter((der) => !der.equals(authority));
  const root = above.find(isSelfIssued) ?? chain.at(-1) ?? issuer;
  return {
    certificateChain: [authority, ...above.filter((der) => !der.equals(root))],
    upstreamRoots: [{ certificate: root, isTainted: false }],
  };
}

function certificatesOf(value: unknown, member: string): readonly Buffer[] {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  try {
    return texts.flatMap((text) => {
      if (typeof text !== 'string') throw malformed(member, 'is not text');
      return decodePem('CERTIFICATE', text).map((der) => parseX509Certificate(der).der);
    });
  } catch (error) {
    if (error instanceof BonafideError && error.reason === 'failed_precondition') throw error;
    throw malformed(member, errorMessage(error));
  }
}

function isSelfIssued(der: Buffer): boolean {
  const { issuer, subject } = parseX509Certificate(der);
  return issuer.equals(subject);
}

function unique(certificates: readonly Buffer[]): readonly Buffer[] {
  return [...new Map(certificates.map((der) => [der.toString('base64'), der])).values()];
}

function malformed(member: string, problem: string): BonafideError {
  return new BonafideError('failed_precondition', `Vault's answer cannot be used: ${member} ${problem}`);
}
