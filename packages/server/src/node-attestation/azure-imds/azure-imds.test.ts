import type { KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { derElement, derObjectIdentifier, derSequence } from '@bonafide/shared/crypto/der/der-writer';
import { contextTag } from '@bonafide/shared/crypto/der/der-tag';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { encodeX509Extension } from '@bonafide/shared/crypto/der/x509-extension';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { AZURE_MACHINE, startAzureStandIn, SUBSCRIPTION, TENANT, VM } from '@bonafide/testing/azure-stand-in';
import type { HttpStandIn } from '@bonafide/testing/http-stand-in';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { createTestSignedData, createTestSignerInfo, PKCS7 } from '@bonafide/testing/test-signed-data';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ProvenNode } from '../node-attestor.js';
import { azureImdsConfigSchema } from './azure-imds-config.js';
import { createAzureImds } from './azure-imds.js';

const ISSUER_URL = 'http://www.microsoft.com/pkiops/certs/Test%20Issuing%20CA.crt';

let root: TestParty;
let issuing: TestParty;
let signer: TestParty;
const directory = createTemporaryDirectory();
const standIns: HttpStandIn[] = [];

/** Authority information access: where the issuer's certificate is. */
const caIssuers = (url: string): Buffer =>
  encodeX509Extension(
    OID.authorityInformationAccess,
    false,
    derSequence(
      derSequence(
        derObjectIdentifier('1.3.6.1.5.5.7.48.2'),
        derElement(contextTag(6, false), Buffer.from(url)),
      ),
    ),
  );

let rsaKey: KeyObject;
const signingParty = (dnsName: string, issuer: TestParty | undefined, url = ISSUER_URL): Promise<TestParty> =>
  createTestParty({
    name: dnsName,
    issuer,
    dnsNames: [dnsName],
    privateKey: rsaKey,
    more: [caIssuers(url)],
  });

beforeAll(async () => {
  rsaKey = await generatePrivateKey('rsa-2048');
  root = await createTestParty({ name: 'root', isCa: true });
  issuing = await createTestParty({ name: 'issuing', isCa: true, issuer: root });
  signer = await signingParty('eastus.metadata.azure.com', issuing);
  await writeFile(directory.join('roots.pem'), encodePem('CERTIFICATE', root.certificate));
});
afterEach(async () => {
  for (const standIn of standIns.splice(0)) await standIn.stop();
});
afterAll(() => {
  directory.remove();
});

const content = (nonce: string, fields: Readonly<Record<string, unknown>> = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      licenseType: '',
      nonce,
      plan: { name: '', product: '', publisher: '' },
      sku: '22_04-lts-gen2',
      subscriptionId: SUBSCRIPTION,
      timeStamp: { createdOn: '11/22/26 12:00:00 -0000', expiresOn: '11/22/26 18:00:00 -0000' },
      vmId: VM,
      ...fields,
    }),
  );

/** As Azure signs: DER, over the content, with the certificate, and the signature algorithm where the digest belongs. */
const sign = (signed: Buffer, by = signer): string =>
  createTestSignedData({
    signer: by,
    content: signed,
    certificates: [by.certificate],
    digestAlgorithm: PKCS7.sha256WithRsa,
  }).toString('base64');

const answer = (signature: string, metadata: Readonly<Record<string, unknown>> = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      document: { encoding: 'pkcs7', signature },
      metadata: { agentDomain: 'example.onmicrosoft.com', vmssName: null, ...metadata },
    }),
  );

interface Wish {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tenant?: Readonly<Record<string, unknown>>;
  readonly answer?: (nonce: string) => Buffer;
  readonly machines?: readonly unknown[];
  readonly fetched?: string[];
}

async function attest(wish: Wish = {}): Promise<ProvenNode> {
  const standIn = await startAzureStandIn(wish.machines);
  standIns.push(standIn);
  const secret = { secret_auth: { app_id: 'app', app_secret: 'app secret' } };
  const config = azureImdsConfigSchema.parse({
    tenants: { 'example.onmicrosoft.com': { ...secret, ...wish.tenant } },
    trust_bundle_path: directory.join('roots.pem'),
    ...wish.config,
  });
  const attestor = await createAzureImds(
    config,
    {
      trustDomain: parseTrustDomain('example.org'),
      clock: systemClock,
      signal: new AbortController().signal,
    },
    {
      login: standIn.url,
      management: standIn.url,
      metadata: standIn.url,
      environment: {},
      fetchCertificate: (url) => {
        wish.fetched?.push(url.href);
        return Promise.resolve(issuing.certificate);
      },
    },
  );
  const made = wish.answer ?? ((nonce) => answer(sign(content(nonce))));
  return attestor.attest({
    payload: Buffer.from('non_empty_payload'),
    csrHash: Buffer.alloc(32),
    now: systemClock.now(),
    challenge: (nonce) => Promise.resolve(made(nonce.toString('latin1'))),
    recall: () => Promise.resolve(undefined),
  });
}

const asked = (): readonly string[] => standIns.flatMap(({ requests }) => requests.map(({ path }) => path));

describe('azure_imds', () => {
  it('names the machine and tells of it what SPIRE tells', async () => {
    const fetched: string[] = [];
    const node = await attest({ tenant: { allowed_vm_tags: ['environment', 'team'] }, fetched });
    expect(node.agentId).toBe(`spiffe://example.org/spire/agent/azure_imds/${TENANT}/${SUBSCRIPTION}/${VM}`);
    expect(node.isTrustedOnFirstUse).toBe(true);
    expect(node.selectors.map(formatSelector).sort()).toEqual([
      'azure_imds:network-security-group:frontend:webservers',
      'azure_imds:resource-group:frontend',
      `azure_imds:subscription-id:${SUBSCRIPTION}`,
      'azure_imds:virtual-network-subnet:vnet:default',
      'azure_imds:virtual-network:vnet',
      'azure_imds:vm-location:eastus',
      'azure_imds:vm-name:blog',
      'azure_imds:vm-tag:environment:production',
    ]);
    expect(fetched).toEqual([ISSUER_URL]);
  });

  it('finds a machine of a scale set, over several pages', async () => {
    const node = await attest({
      answer: (nonce) => answer(sign(content(nonce)), { vmssName: 'myvmss' }),
      tenant: { allowed_vm_tags: ['environment'] },
    });
    expect(node.selectors.map(({ value }) => value).sort()).toEqual([
      'network-security-group:net:nsg',
      'resource-group:backend',
      `subscription-id:${SUBSCRIPTION}`,
      'virtual-network-subnet:vnet:apps',
      'virtual-network:vnet',
      'vm-location:westus',
      'vm-name:myvmss_3',
      'vm-tag:environment:test',
      'vmss-name:myvmss',
    ]);
  });

  it('forms the ID by a template', async () => {
    const node = await attest({ config: { agent_path_template: '/{{ .PluginName }}/{{ .VMID }}' } });
    expect(node.agentId).toBe(`spiffe://example.org/spire/agent/azure_imds/${VM}`);
    expect(node.hasConfiguredPath).toBe(true);
  });
});

describe('evidence for azure_imds', () => {
  it.each<[string, (nonce: string) => Buffer | Promise<Buffer>, RegExp]>([
    ['a document for another nonce', () => answer(sign(content('x'.repeat(32)))), /for another nonce/],
    [
      'a document that was changed',
      (nonce) =>
        answer(
          createTestSignedData({
            signer,
            content: content(nonce),
            carried: content(nonce, { vmId: 'ffffffff-4d57-4c23-ac45-aca61037f084' }),
            certificates: [signer.certificate],
          }).toString('base64'),
        ),
      /signature is wrong/,
    ],
    [
      'a field twice',
      (nonce) => answer(sign(Buffer.from(content(nonce).toString().replace('{', `{"vmId":"${VM}",`)))),
      /has "vmId" twice/,
    ],
    [
      'two signers',
      (nonce) =>
        answer(
          createTestSignedData({
            signer,
            content: content(nonce),
            certificates: [signer.certificate],
            moreSigners: [createTestSignerInfo({ signer, content: content(nonce) })],
          }).toString('base64'),
        ),
      /signers are more than one/,
    ],
    [
      'no certificate',
      (nonce) => answer(createTestSignedData({ signer, content: content(nonce) }).toString('base64')),
      /does not carry the one certificate/,
    ],
    ['a machine that is no UUID', (nonce) => answer(sign(content(nonce, { vmId: "' or 1==1" }))), /vmId/],
    [
      'a tenant of nobody',
      (nonce) => answer(sign(content(nonce)), { agentDomain: 'evil.org' }),
      /not authorized/,
    ],
    ['too much', () => Buffer.alloc(200_000, 0x20), /longer than/],
    [
      'a scale set that is a query',
      (nonce) => answer(sign(content(nonce)), { vmssName: "x' or 1==1 //" }),
      /name of the scale set/,
    ],
  ])('is refused with %s', async (_, made, message) => {
    await expect(attest({ answer: made as (nonce: string) => Buffer })).rejects.toThrow(message);
  });

  it('is refused under a certificate for another name', async () => {
    const web = await signingParty('metadata.azure.com.evil.org', issuing);
    const made = { answer: (nonce: string) => answer(sign(content(nonce), web)) };
    await expect(attest(made)).rejects.toThrow(/allowed_metadata_domains/);
    expect(asked()).toEqual([]);
  });

  it('is refused under a certificate that its maker signed, and no stranger is asked for its issuer', async () => {
    const forged = await signingParty('metadata.azure.com', undefined);
    await expect(attest({ answer: (nonce) => answer(sign(content(nonce), forged)) })).rejects.toThrow(
      /not the issuer of the signing certificate/,
    );
    for (const url of [
      'http://169.254.169.254/latest',
      'http://www.microsoft.com:8080/',
      'http://www.microsoft.com@evil.org/',
    ]) {
      const fetched: string[] = [];
      const lured = await signingParty('metadata.azure.com', issuing, url);
      await expect(
        attest({ answer: (nonce) => answer(sign(content(nonce), lured)), fetched }),
      ).rejects.toThrow(/issuer of the signing certificate is not at www\.microsoft\.com/);
      expect(fetched).toEqual([]);
    }
    expect(asked()).toEqual([]);
  });

  it('is refused of subscriptions that are not listed, before Azure is asked', async () => {
    const tenant = { restrict_to_subscriptions: ['00000000-272e-48da-beb9-05f295c42bd6'] };
    await expect(attest({ tenant })).rejects.toThrow(/subscription .* is not authorized/);
    expect(asked()).toEqual([]);
  });

  it('is refused of a machine that Azure does not know, or takes for another', async () => {
    await expect(attest({ machines: [] })).rejects.toThrow(/there is no virtual machine/);
    await expect(attest({ machines: [AZURE_MACHINE, AZURE_MACHINE] })).rejects.toThrow(/more than one/);
    const other = { ...AZURE_MACHINE, vmId: 'ffffffff-4d57-4c23-ac45-aca61037f084' };
    await expect(attest({ machines: [other] })).rejects.toThrow(/another virtual machine/);
    const injected = { ...AZURE_MACHINE, id: "/x') | union secrets //" };
    await expect(attest({ machines: [injected] })).rejects.toThrow(/lacks what is expected at id/);
  });

  it('is refused while the server has no token', async () => {
    const tenant = { secret_auth: { app_id: 'app', app_secret: 'wrong' } };
    await expect(attest({ tenant })).rejects.toThrow(/Entra ID gave no token/);
  });
});
