/** An authority that signs, and CSRs for it, made once and used again and again: what is measured is the server. */
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509SigningAuthority } from '@bonafide/server/authority/x509-signing-authority';

export const SAMPLE_TRUST_DOMAIN: TrustDomain = parseTrustDomain('example.org');

export async function createSampleAuthority(): Promise<X509SigningAuthority> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  const notBefore = systemClock.now();
  const notAfter = addSeconds(notBefore, 24 * 3600);
  const of = { trustDomain: SAMPLE_TRUST_DOMAIN, signer, notBefore, notAfter };
  const certificate = await createSelfSignedAuthority(of);
  return { authorityId: 'bench', certificate, intermediates: [], signer, notAfter };
}

export async function createSampleCsrs(count: number): Promise<readonly Buffer[]> {
  const csrs: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    csrs.push(await createCertificateSigningRequest(await generatePrivateKey('ec-p256')));
  }
  return csrs;
}
