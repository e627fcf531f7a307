import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { startHttpStandIn, type HttpStandIn, type StandInRequest } from '@bonafide/testing/http-stand-in';
import { afterEach, describe, expect, it } from 'vitest';
import { awsIid } from './aws-iid.js';
import { azureImds } from './azure-imds.js';
import type { NodeAttestor } from './node-attestor.js';

const HOST = {
  trustDomain: parseTrustDomain('example.org'),
  joinToken: undefined,
  clock: systemClock,
  log: silentLogger,
};
const standIns: HttpStandIn[] = [];
afterEach(async () => {
  for (const standIn of standIns.splice(0)) await standIn.stop();
});

type Answer = (request: StandInRequest) => string | undefined;

async function start(answer: Answer): Promise<string> {
  const standIn = await startHttpStandIn((request) => {
    const body = answer(request);
    return body === undefined ? { status: 404, body: '' } : { body };
  });
  standIns.push(standIn);
  return standIn.url.href;
}

/** @param challenges the server's, one after the other. @returns what the agent sent. */
async function exchange(
  attestor: NodeAttestor,
  ...challenges: readonly string[]
): Promise<readonly string[]> {
  const sent: string[] = [];
  await attestor.attest({
    csrHash: Buffer.alloc(32),
    send(data) {
      const challenge = challenges[sent.length];
      sent.push(data.toString('utf8'));
      return Promise.resolve(challenge === undefined ? undefined : Buffer.from(challenge));
    },
  });
  return sent;
}

/** IMDSv2: nothing without a token of the session. */
const ec2: Answer = ({ method, path, headers }) => {
  if (method === 'PUT' && path === '/latest/api/token')
    return headers['x-aws-ec2-metadata-token-ttl-seconds'] === '60' ? 'AQAEsession==' : undefined;
  if (headers['x-aws-ec2-metadata-token'] !== 'AQAEsession==') return undefined;
  const [, name] = /^\/latest\/dynamic\/instance-identity\/(\w+)$/.exec(path) ?? [];
  return name === undefined ? undefined : `the ${name}`;
};

describe("the agent's half of aws_iid", () => {
  it('shows the document and both signatures, as SPIRE does', async () => {
    const endpoint = `${await start(ec2)}latest`;
    const config = awsIid.configSchema.parse({ ec2_metadata_endpoint: endpoint });
    const [payload = ''] = await exchange(awsIid.create(config, HOST));
    expect(JSON.parse(payload)).toEqual({
      document: 'the document',
      signature: 'the signature',
      rsa2048: 'the rsa2048',
    });
  });

  it('says what is missing where there is no EC2', async () => {
    const config = awsIid.configSchema.parse({ ec2_metadata_endpoint: await start(() => undefined) });
    await expect(exchange(awsIid.create(config, HOST))).rejects.toThrow(/no session token.*IMDSv2/);
    const onlyToken = await start(({ method }) => (method === 'PUT' ? 'token' : undefined));
    const other = awsIid.configSchema.parse({ ec2_metadata_endpoint: onlyToken });
    await expect(exchange(awsIid.create(other, HOST))).rejects.toThrow(/is this an EC2 instance/);
  });

  it('asks nobody far away without TLS', () => {
    expect(() => awsIid.configSchema.parse({ ec2_metadata_endpoint: 'http://10.1.2.3/latest' })).toThrow(
      /without TLS/,
    );
  });
});

const azure =
  (scaleSet: string): Answer =>
  ({ path, headers }) => {
    if (headers['metadata'] !== 'true') return undefined;
    const { pathname, searchParams } = new URL(path, 'http://localhost');
    if (searchParams.get('api-version') !== '2025-04-07') return undefined;
    if (pathname === '/metadata/attested/document')
      return JSON.stringify({ encoding: 'pkcs7', signature: `signed ${searchParams.get('nonce') ?? ''}` });
    return JSON.stringify({ compute: { vmId: 'x', vmScaleSetName: scaleSet } });
  };

describe("the agent's half of azure_imds", () => {
  it.each([
    ['a machine that stands alone', '', null],
    ['a machine of a scale set', 'myvmss', 'myvmss'],
  ])('has the nonce signed, and says where to look, for %s', async (_, scaleSet, vmssName) => {
    const config = azureImds.configSchema.parse({
      tenant_domain: 'example.onmicrosoft.com',
      azure_metadata_endpoint: await start(azure(scaleSet)),
    });
    const [greeting, answer = ''] = await exchange(azureImds.create(config, HOST), 'Nonce123');
    expect(greeting).toBe('non_empty_payload');
    expect(JSON.parse(answer)).toEqual({
      document: { encoding: 'pkcs7', signature: 'signed Nonce123' },
      metadata: { agentDomain: 'example.onmicrosoft.com', vmssName },
    });
  });

  it('has nothing signed but letters and digits', async () => {
    const config = azureImds.configSchema.parse({
      tenant_domain: 'example.onmicrosoft.com',
      azure_metadata_endpoint: await start(azure('')),
    });
    await expect(exchange(azureImds.create(config, HOST), 'a&resource=x')).rejects.toThrow(
      /letters and digits/,
    );
    expect(standIns.flatMap(({ requests }) => requests)).toEqual([]);
  });
});
