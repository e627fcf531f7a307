/** Attestation by the identity token that Google makes for a Compute Engine instance: the token itself is the evidence. */
import {
  GOOGLE_METADATA_ENDPOINT,
  parseGoogleMetadataHost,
  readGoogleMetadata,
} from '@bonafide/shared/cloud/google-metadata';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { GCP_IIT_AUDIENCE } from '@bonafide/shared/node-attestation/gcp-iit-audience';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const LIMIT_MS = 20_000;

const configSchema = z.strictObject({
  /** A host, or a host and port. */
  identity_token_host: parsedString(parseGoogleMetadataHost).optional(),
  /** For which the token is made. */
  service_account: z.string().min(1).max(320).default('default'),
});

export const gcpIit: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: ({ identity_token_host: endpoint = GOOGLE_METADATA_ENDPOINT, service_account: account }) => ({
    type: 'gcp_iit',
    isSpent: false,
    async attest(exchange) {
      // The full format says which instance it is.
      const query = new URLSearchParams({ audience: GCP_IIT_AUDIENCE, format: 'full' }).toString();
      const path = `instance/service-accounts/${encodeURIComponent(account)}/identity?${query}`;
      const token = (await readGoogleMetadata(endpoint, path, AbortSignal.timeout(LIMIT_MS))).trim();
      if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
        throw new BonafideError(
          'unavailable',
          'the metadata service answered with something else than a token',
        );
      }
      if ((await exchange.send(Buffer.from(token))) !== undefined) {
        throw new BonafideError('internal', 'the server answered an identity token with a challenge');
      }
    },
  }),
};
