/** The server of the attestation benchmark: all of it, with stand-ins where its node attestors would go out into the world. */
import '../simulator/server-probe.js';
import { readFileSync } from 'node:fs';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { serverConfigSchema } from '@bonafide/server/configuration/server-config';
import { awsIidConfigSchema } from '@bonafide/server/node-attestation/aws-iid/aws-iid-config';
import { createAwsIid } from '@bonafide/server/node-attestation/aws-iid/aws-iid';
import { azureImdsConfigSchema } from '@bonafide/server/node-attestation/azure-imds/azure-imds-config';
import { createAzureImds } from '@bonafide/server/node-attestation/azure-imds/azure-imds';
import { createGcpIit, gcpIit } from '@bonafide/server/node-attestation/gcp-iit/gcp-iit';
import {
  createHttpChallenge,
  httpChallenge,
} from '@bonafide/server/node-attestation/http-challenge/http-challenge';
import type { NodeAttestor, NodeAttestorHost } from '@bonafide/server/node-attestation/node-attestor';
import { createServer } from '@bonafide/server/wiring/create-server';
import type { ServerOrder } from './server-order.js';

const order = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ServerOrder;
const config = parseConfig('server.json', JSON.stringify(order.config), serverConfigSchema);
const stop = new AbortController();
process.once('SIGTERM', () => {
  stop.abort();
});
const log = createLogger({ level: 'error', format: 'json' });
const standIns = await attestorsOf(order, {
  trustDomain: config.server.trust_domain,
  clock: systemClock,
  log,
  signal: stop.signal,
});
const server = await createServer(config, { clock: systemClock, log, moreNodeAttestors: () => standIns });
await server.run(stop.signal);
process.exit();

async function attestorsOf(
  { aws, azure, google, resolveAll = '127.0.0.1' }: ServerOrder,
  host: Pick<NodeAttestorHost, 'trustDomain' | 'clock' | 'log' | 'signal'>,
): Promise<ReadonlyMap<string, NodeAttestor>> {
  const attestors = new Map<string, NodeAttestor>();
  attestors.set(
    'http_challenge',
    createHttpChallenge(httpChallenge.configSchema.parse({ allowed_networks: ['127.0.0.0/8'] }), host, {
      resolve: () => Promise.resolve([{ address: resolveAll, family: 4 }]),
    }),
  );
  if (aws !== undefined) {
    const endpoint = { url: new URL(aws.url), signingRegion: aws.region };
    attestors.set(
      'aws_iid',
      await createAwsIid(awsIidConfigSchema.parse(aws.config), host, {
        endpoints: () => endpoint,
        loadCredentials: () =>
          Promise.resolve({
            credentials: { accessKeyId: 'AKIAOWN', secretAccessKey: 'secret' },
            expiresAt: undefined,
          }),
      }),
    );
  }
  if (azure !== undefined) {
    const url = new URL(azure.url);
    const issuer = Buffer.from(azure.issuer, 'base64');
    attestors.set(
      'azure_imds',
      await createAzureImds(azureImdsConfigSchema.parse(azure.config), host, {
        ...{ login: url, management: url, metadata: url, environment: {} },
        fetchCertificate: () => Promise.resolve(issuer),
      }),
    );
  }
  if (google !== undefined) {
    attestors.set(
      'gcp_iit',
      createGcpIit(gcpIit.configSchema.parse(google.config), host, {
        keysUrl: new URL(google.keysUrl),
        tls: { ca: google.ca },
        environment: {},
      }),
    );
  }
  return attestors;
}
