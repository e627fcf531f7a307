/** The identity document of an EC2 instance: believed once AWS's key of a region signed it, and only as far as that region. */
import { decodeBase64 } from '@bonafide/shared/crypto/pem';
import { parseSignedData } from '@bonafide/shared/crypto/signed-data';
import { isSignerCertificate, verifySignedData } from '@bonafide/shared/crypto/verify-signed-data';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseUniqueJsonObject } from '@bonafide/shared/jwt/unique-json';
import { z } from 'zod';
import type { RegionCertificate } from './region-certificates.js';

/** Fields that nothing is decided by are left out. */
const documentSchema = z.object({
  accountId: z.string().regex(/^[0-9]{12}$/),
  region: z.string().min(1).max(64),
  instanceId: z.string().regex(/^i-[0-9a-f]{8,32}$/),
  imageId: z.string().min(1).max(128),
  availabilityZone: z.string().min(1).max(64),
});
export type IdentityDocument = z.infer<typeof documentSchema>;

/** As SPIRE's agents send it, too. */
const payloadSchema = z.object({
  document: z.string().min(1),
  rsa2048: z.string().optional(),
});

const MAX_PAYLOAD_BYTES = 128 * 1024;

/** @throws BonafideError `invalid_argument` when the evidence is malformed, or no configured certificate's key signed it. */
export async function verifyIdentityDocument(
  payload: Buffer,
  trusted: readonly RegionCertificate[],
  now: Date,
): Promise<IdentityDocument> {
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw invalidArgument(`the attestation data is longer than ${MAX_PAYLOAD_BYTES} bytes`);
  const { document, rsa2048 = '' } = parse(payloadSchema, payload, 'attestation data');
  if (rsa2048 === '') {
    throw invalidArgument(
      'the RSA-2048 signature of the instance identity document is missing; the RSA-1024 one is not accepted',
    );
  }
  const signed = parseSignedData(decodeBase64(rsa2048.replace(/[\r\n]/g, ''), 'signature of the document'));
  const signers = trusted.filter(({ certificate }) => isSignerCertificate(signed.signer, certificate));
  if (signers.length === 0) {
    throw invalidArgument(
      'the instance identity document is not signed by a certificate of verification_certificates',
    );
  }
  let refusal: BonafideError | undefined;
  for (const { region, certificate } of signers) {
    try {
      const content = await verifySignedData(signed, certificate);
      // Two documents in one payload: only one of them is signed.
      if (!content.equals(Buffer.from(document, 'utf8')))
        throw invalidArgument('the instance identity document is not the one that is signed');
      if (now < certificate.notBefore || now >= certificate.notAfter)
        throw invalidArgument(`the certificate of AWS for ${region} is not valid at this time`);
      const believed = parse(documentSchema, content, 'instance identity document');
      if (believed.region !== region)
        throw invalidArgument(
          `an instance of region ${believed.region} is signed for by the key of ${region}`,
        );
      return believed;
    } catch (error) {
      if (!hasReason(error, 'invalid_argument')) throw error;
      refusal ??= error;
    }
  }
  throw refusal ?? invalidArgument('the instance identity document is not signed');
}

function parse<S extends z.ZodType>(schema: S, bytes: Buffer, what: string): z.output<S> {
  const result = schema.safeParse(parseUniqueJsonObject(bytes, what));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalidArgument(
    `the ${what} is not as expected: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
  );
}
