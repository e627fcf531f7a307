/** Attestation by the document that an Azure virtual machine's metadata service signs over the server's nonce. */
import { AZURE_METADATA_ENDPOINT, readAzureMetadata } from '@bonafide/shared/cloud/azure-metadata';
import { parseMetadataEndpoint } from '@bonafide/shared/cloud/metadata-endpoint';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { isJsonObject } from '@bonafide/shared/jwt/unique-json';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const API_VERSION = '2025-04-07';
const LIMIT_MS = 20_000;

const configSchema = z.strictObject({
  /** Of the tenant in which the machine runs. A hint: the server decides which tenants it knows. */
  tenant_domain: z.string().min(1).max(253),
  /** Of ours, for test set-ups; SPIRE knows no such key. */
  azure_metadata_endpoint: parsedString(parseMetadataEndpoint).optional(),
});

/** What SPIRE's agent sends to be given a nonce. */
const GREETING = 'non_empty_payload';

export const azureImds: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: ({ tenant_domain: tenant, azure_metadata_endpoint: endpoint = AZURE_METADATA_ENDPOINT }) => ({
    type: 'azure_imds',
    isSpent: false,
    async attest(exchange) {
      const challenge = await exchange.send(Buffer.from(GREETING));
      if (challenge === undefined) throw new BonafideError('internal', 'the server gave no nonce');
      const nonce = challenge.toString('latin1');
      if (!/^[A-Za-z0-9]{1,64}$/.test(nonce))
        throw new BonafideError('internal', 'the nonce of the server is not 1 to 64 letters and digits');
      const signal = AbortSignal.timeout(LIMIT_MS);
      const document = await readAzureMetadata(
        endpoint,
        `/metadata/attested/document?nonce=${nonce}&api-version=${API_VERSION}`,
        signal,
      );
      const { encoding, signature } = document;
      if (typeof encoding !== 'string' || typeof signature !== 'string') {
        throw new BonafideError('unavailable', 'the metadata service answered without a signed document');
      }
      const scaleSet = scaleSetOf(
        await readAzureMetadata(
          endpoint,
          `/metadata/instance?api-version=${API_VERSION}&format=json`,
          signal,
        ),
      );
      const answer = {
        document: { encoding, signature },
        metadata: { agentDomain: tenant, vmssName: scaleSet ?? null },
      };
      if ((await exchange.send(Buffer.from(JSON.stringify(answer)))) !== undefined) {
        throw new BonafideError('internal', 'the server answered an attested document with a challenge');
      }
    },
  }),
};

/** The scale set of which the machine is one; undefined: it stands alone. */
function scaleSetOf({ compute }: Readonly<Record<string, unknown>>): string | undefined {
  const name = isJsonObject(compute) ? compute['vmScaleSetName'] : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
