/** Attestation by the identity document of an EC2 instance: what the instance's metadata service says of it, signed by AWS. */
import { EC2_METADATA_ENDPOINT, Ec2MetadataSession } from '@bonafide/shared/cloud/ec2-metadata';
import { parseMetadataEndpoint } from '@bonafide/shared/cloud/metadata-endpoint';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const DYNAMIC = '/latest/dynamic/instance-identity';
const LIMIT_MS = 20_000;

const configSchema = z.strictObject({
  ec2_metadata_endpoint: parsedString(parseMetadataEndpoint).optional(),
});

export const awsIid: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: ({ ec2_metadata_endpoint: endpoint = EC2_METADATA_ENDPOINT }) => ({
    type: 'aws_iid',
    isSpent: false,
    async attest(exchange) {
      const metadata = await Ec2MetadataSession.open(endpoint, AbortSignal.timeout(LIMIT_MS));
      const document = await metadata.read(`${DYNAMIC}/document`);
      // The RSA-1024 signature is for servers older than the other one; ours does not look at it.
      const signature = await metadata.read(`${DYNAMIC}/signature`);
      const rsa2048 = await metadata.read(`${DYNAMIC}/rsa2048`);
      if (document === undefined || rsa2048 === undefined) {
        throw new BonafideError(
          'failed_precondition',
          `the metadata service at ${endpoint.origin} has no signed identity document; is this an EC2 instance?`,
        );
      }
      const payload = { document, signature: signature ?? '', rsa2048 };
      const challenge = await exchange.send(Buffer.from(JSON.stringify(payload)));
      if (challenge !== undefined) {
        throw new BonafideError('internal', 'the server answered an identity document with a challenge');
      }
    },
  }),
};
