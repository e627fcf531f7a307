/** Machines of clouds: aws_iid, azure_imds and gcp_iit, with stand-ins of the clouds in this process that sign with keys of their own. */
import { writeFileSync } from 'node:fs';
import { contextTag } from '@bonafide/shared/crypto/der/der-tag';
import { derElement, derObjectIdentifier, derSequence } from '@bonafide/shared/crypto/der/der-writer';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { encodeX509Extension } from '@bonafide/shared/crypto/der/x509-extension';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { describeInstancesXml, startAwsStandIn } from '@bonafide/testing/aws-stand-in';
import { GoogleCloud } from '@bonafide/testing/google-cloud';
import { startHttpStandIn } from '@bonafide/testing/http-stand-in';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty } from '@bonafide/testing/test-party';
import { createTestSignedData, PKCS7, withoutLengths } from '@bonafide/testing/test-signed-data';
import { agentHalf, type Fleet } from './fleet.js';
import type { CloudOrder } from './server-order.js';

export interface CloudFleet extends Fleet {
  readonly order: CloudOrder;
  stop(): Promise<void>;
}

const ACCOUNT = '123456789012';
const REGION = 'us-east-1';
const NOTE = 'the cloud is a stand-in';

/** Each session with the metadata service is that of another instance. */
export async function awsFleet(directory: TemporaryDirectory): Promise<CloudFleet> {
  const signer = await createTestParty({ name: 'AWS', keyType: 'rsa-2048', withoutKeyIds: true });
  const certificate = directory.join('aws.pem');
  writeFileSync(certificate, encodePem('CERTIFICATE', signer.certificate));
  let instances = 0;
  const documentOf = (instance: string): string =>
    JSON.stringify({
      ...{
        accountId: ACCOUNT,
        architecture: 'x86_64',
        availabilityZone: `${REGION}a`,
        billingProducts: null,
      },
      ...{
        imageId: 'ami-0fa9e1f64142cde17',
        instanceId: instance,
        instanceType: 't2.medium',
        kernelId: null,
      },
      ...{
        pendingTime: '2026-11-01T12:00:00Z',
        privateIp: '10.0.0.209',
        region: REGION,
        version: '2017-09-30',
      },
    });
  const metadata = await startHttpStandIn(({ method, path, headers }) => {
    if (method === 'PUT') return { body: `i-${(instances += 1).toString(16).padStart(17, '0')}` };
    const text = documentOf(String(headers['x-aws-ec2-metadata-token']));
    if (path.endsWith('/document')) return { body: text };
    if (!path.endsWith('/rsa2048')) return { body: 'c2lnbmF0dXJl' };
    const signed = createTestSignedData({ signer, content: Buffer.from(text), withAttributes: true });
    return { body: withoutLengths(signed).toString('base64') };
  });
  const aws = await startAwsStandIn({
    DescribeInstances: ({ body }) => {
      const instanceId = new URLSearchParams(body).get('InstanceId.1') ?? '';
      return describeInstancesXml({ instanceId, ownerId: ACCOUNT });
    },
  });
  const config = { verification_certificates: { [REGION]: certificate } };
  return {
    ...{ name: 'aws_iid', note: NOTE },
    order: { aws: { url: aws.url.href, region: REGION, config } },
    attestorOf: () => agentHalf({ aws_iid: { ec2_metadata_endpoint: metadata.url.href } }),
    stop: async () => {
      await metadata.stop();
      await aws.stop();
    },
  };
}

const TENANT = 'a0a0a0a0-1111-2222-3333-444444444444';
const TENANT_DOMAIN = 'example.onmicrosoft.com';
const SUBSCRIPTION = 'd5b40d61-272e-48da-beb9-05f295c42bd6';
const NETWORK = {
  subnets: [{ vnet: 'vnet', name: 'default' }],
  securityGroup: { resourceGroup: 'frontend', name: 'webservers' },
};

/** Each document is that of another machine. */
export async function azureFleet(directory: TemporaryDirectory): Promise<CloudFleet> {
  const root = await createTestParty({ name: 'root', isCa: true });
  const issuing = await createTestParty({ name: 'issuing', isCa: true, issuer: root });
  const name = 'eastus.metadata.azure.com';
  const privateKey = await generatePrivateKey('rsa-2048');
  const more = [caIssuers('http://www.microsoft.com/pkiops/certs/issuing.crt')];
  const signer = await createTestParty({ name, issuer: issuing, dnsNames: [name], privateKey, more });
  const roots = directory.join('azure-roots.pem');
  writeFileSync(roots, encodePem('CERTIFICATE', root.certificate));
  let machines = 0;
  const metadata = await startHttpStandIn(({ path }) => {
    const { pathname, searchParams } = new URL(path, 'http://metadata');
    if (pathname !== '/metadata/attested/document')
      return { body: JSON.stringify({ compute: { vmScaleSetName: '' } }) };
    const vmId = `5c08b38e-4d57-4c23-ac45-${(machines += 1).toString(16).padStart(12, '0')}`;
    const content = Buffer.from(
      JSON.stringify({
        ...{ licenseType: '', nonce: searchParams.get('nonce'), sku: '22_04-lts-gen2' },
        ...{ subscriptionId: SUBSCRIPTION, vmId, timeStamp: { createdOn: '', expiresOn: '' } },
      }),
    );
    const signed = createTestSignedData({
      ...{ signer, content, certificates: [signer.certificate], digestAlgorithm: PKCS7.sha256WithRsa },
    });
    return { body: JSON.stringify({ encoding: 'pkcs7', signature: signed.toString('base64') }) };
  });
  const azure = await startHttpStandIn(({ path, body }) => ({
    body: JSON.stringify(answerOfAzure(path, body)),
  }));
  const tenant = { secret_auth: { app_id: 'app', app_secret: 'app secret' } };
  const config = { tenants: { [TENANT_DOMAIN]: tenant }, trust_bundle_path: roots };
  return {
    ...{ name: 'azure_imds', note: NOTE },
    order: { azure: { url: azure.url.href, config, issuer: issuing.certificate.toString('base64') } },
    attestorOf: () =>
      agentHalf({
        azure_imds: { tenant_domain: TENANT_DOMAIN, azure_metadata_endpoint: metadata.url.href },
      }),
    stop: async () => {
      await metadata.stop();
      await azure.stop();
    },
  };
}

/** Where the certificate of the issuer is (RFC 5280 section 4.2.2.1). */
function caIssuers(url: string): Buffer {
  const place = derElement(contextTag(6, false), Buffer.from(url));
  const description = derSequence(derObjectIdentifier('1.3.6.1.5.5.7.48.2'), place);
  return encodeX509Extension(OID.authorityInformationAccess, false, derSequence(description));
}

function answerOfAzure(path: string, body: string): object {
  if (path.endsWith('/openid-configuration')) return { issuer: `https://sts.windows.net/${TENANT}/` };
  if (path.endsWith('/token')) return { token_type: 'Bearer', expires_in: 3599, access_token: 'token' };
  const { query } = JSON.parse(body) as { readonly query: string };
  if (query.includes('networkinterfaces')) return { totalRecords: 1, data: [NETWORK] };
  const [, vmId = ''] = /vmId =~ '([^']+)'/.exec(query) ?? [];
  const machine = {
    id: `/subscriptions/${SUBSCRIPTION}/resourceGroups/frontend/providers/Microsoft.Compute/virtualMachines/blog`,
    ...{ name: 'blog', location: 'eastus', tags: {}, vmId, resourceGroup: 'frontend' },
  };
  return { totalRecords: 1, data: [machine] };
}

/** Each token is that of another instance. */
export async function gcpFleet(): Promise<CloudFleet> {
  const google = await GoogleCloud.start();
  let instances = 0;
  google.instance = () => ({ instance_id: String(1_000_000 + (instances += 1)) });
  const config = { projectid_allow_list: ['project-123'] };
  return {
    ...{ name: 'gcp_iit', note: NOTE },
    order: { google: { keysUrl: google.keysUrl.href, ca: google.ca, config } },
    attestorOf: () => agentHalf({ gcp_iit: { identity_token_host: google.metadataHost } }),
    stop: () => google[Symbol.asyncDispose](),
  };
}
