/** The document that Azure's metadata service signs for a virtual machine: who signed it, that it is new, and what it says. */
import { decodeBase64 } from '@bonafide/shared/crypto/pem';
import { parseSignedData } from '@bonafide/shared/crypto/signed-data';
import { verifyCertificatePath } from '@bonafide/shared/crypto/verify-certificate-path';
import { isSignerCertificate, verifySignedData } from '@bonafide/shared/crypto/verify-signed-data';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseUniqueJsonObject } from '@bonafide/shared/jwt/unique-json';
import { z } from 'zod';
import { UUID } from './azure-imds-config.js';
import type { IssuerCertificates } from './issuer-certificates.js';

/** Fields that nothing is decided by are left out. */
const documentSchema = z.object({
  subscriptionId: z.string().regex(UUID),
  vmId: z.string().regex(UUID),
  nonce: z.string(),
});

/** `nonce` is the server's; what the machine's tenant is, the document does not say. */
export type AttestedDocument = z.infer<typeof documentSchema>;

/** Whom to believe. */
export interface DocumentTrust {
  /** DER. */
  readonly roots: readonly Buffer[];
  /** The signing certificate is for one of these or a name below. */
  readonly metadataDomains: readonly string[];
  readonly issuers: IssuerCertificates;
}

interface DocumentEvidence {
  /** Base64. */
  readonly signature: string;
  readonly nonce: string;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** A signing certificate, an issuing authority, Microsoft's root as DigiCert signed it. */
const MOST_FETCHED = 3;

/** @throws BonafideError `invalid_argument` when it is not Azure's, not for this nonce, or malformed; `unavailable`. */
export async function verifyAttestedDocument(
  { signature, nonce, now, signal }: DocumentEvidence,
  trust: DocumentTrust,
): Promise<AttestedDocument> {
  const signed = parseSignedData(decodeBase64(signature, 'signature of the attested document'));
  const certificates = signed.certificates.map((der) => parseX509Certificate(der));
  const [signer, other] = certificates.filter((one) => isSignerCertificate(signed.signer, one));
  if (signer === undefined || other !== undefined)
    throw invalidArgument('the attested document does not carry the one certificate that signed it');
  // All that costs nothing comes first: until the path is verified, anybody may have made the certificate.
  const content = await verifySignedData(signed, signer);
  checkMetadataDomain(signer, trust.metadataDomains);
  const parsed = documentSchema.safeParse(parseUniqueJsonObject(content, 'attested document'));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidArgument(`the attested document is not as expected: ${issue?.path.join('.') ?? ''}`);
  }
  if (parsed.data.nonce !== nonce) throw invalidArgument('the attested document is for another nonce');
  await checkPath(signer, certificates, { now, signal, trust });
  return parsed.data;
}

function checkMetadataDomain({ dnsNames }: X509Certificate, domains: readonly string[]): void {
  const isAllowed = dnsNames.some((name) =>
    domains.some((domain) => name === domain || name.endsWith(`.${domain}`)),
  );
  if (!isAllowed) {
    throw invalidArgument(
      `the attested document is signed by a certificate for none of ${domains.join(', ')} (allowed_metadata_domains)`,
    );
  }
}

interface PathContext {
  readonly now: Date;
  readonly signal: AbortSignal;
  readonly trust: DocumentTrust;
}

/** With what came along; then with what Microsoft has, one issuer after the other. */
async function checkPath(
  signer: X509Certificate,
  certificates: readonly X509Certificate[],
  { now, signal, trust }: PathContext,
): Promise<void> {
  const intermediates = certificates.filter((one) => one !== signer);
  let top: X509Certificate = signer;
  for (let fetched = 0; ; fetched += 1) {
    try {
      verifyCertificatePath({
        leaf: signer.der,
        intermediates: intermediates.map(({ der }) => der),
        roots: trust.roots,
        now,
      });
      return;
    } catch (error) {
      if (!hasReason(error, 'invalid_argument') || fetched === MOST_FETCHED) throw error;
      const issuer = await trust.issuers.issuerOf(top, signal);
      if (issuer === undefined || issuer.issuer.equals(issuer.subject)) throw error;
      intermediates.push(issuer);
      top = issuer;
    }
  }
}
