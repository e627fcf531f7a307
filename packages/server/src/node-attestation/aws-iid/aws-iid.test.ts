import { writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import {
  assumedRoleXml,
  describeInstancesXml,
  instanceProfileXml,
  startAwsStandIn,
  type AwsStandIn,
} from '@bonafide/testing/aws-stand-in';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { createTestSignedData, withoutLengths } from '@bonafide/testing/test-signed-data';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NodeEvidence, ProvenNode } from '../node-attestor.js';
import { createAwsIid } from './aws-iid.js';
import { awsIidConfigSchema } from './aws-iid-config.js';
import { awsEndpoints } from './aws-request.js';

const ACCOUNT = '123456789012';
const INSTANCE = 'i-078517ca8a70a1dde';
const PROFILE = `arn:aws:iam::${ACCOUNT}:instance-profile/web/nodes`;
const ROLE = `arn:aws:iam::${ACCOUNT}:role/Blog`;

/** As the metadata service gives it. */
const document = (fields: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify(
    {
      accountId: ACCOUNT,
      architecture: 'x86_64',
      availabilityZone: 'us-east-1a',
      billingProducts: null,
      imageId: 'ami-0fa9e1f64142cde17',
      instanceId: INSTANCE,
      instanceType: 't2.medium',
      kernelId: null,
      pendingTime: '2026-11-01T12:00:00Z',
      privateIp: '10.0.0.209',
      region: 'us-east-1',
      version: '2017-09-30',
      ...fields,
    },
    undefined,
    2,
  );

let east: TestParty;
let west: TestParty;
let files: Readonly<Record<string, string>>;
const aws: AwsStandIn[] = [];
const directory = createTemporaryDirectory();

beforeAll(async () => {
  // As AWS's: signed by themselves, without extensions that matter, and all of the same name.
  east = await createTestParty({ name: 'Amazon Web Services LLC', keyType: 'rsa-2048', withoutKeyIds: true });
  west = await createTestParty({ name: 'Amazon Web Services LLC', keyType: 'rsa-2048', withoutKeyIds: true });
  files = { 'us-east-1': directory.join('east.pem'), 'us-west-2': directory.join('west.pem') };
  await writeFile(directory.join('east.pem'), encodePem('CERTIFICATE', east.certificate));
  await writeFile(directory.join('west.pem'), encodePem('CERTIFICATE', west.certificate));
});
afterAll(() => {
  directory.remove();
});
afterEach(async () => {
  for (const standIn of aws.splice(0)) await standIn.stop();
});

/** As EC2 signs: BER, over attributes, without a certificate. */
function sign(content: string, signer: TestParty = east): string {
  const der = createTestSignedData({ signer, content: Buffer.from(content), withAttributes: true });
  return (
    withoutLengths(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n');
}

const payload = (text = document(), rsa2048 = sign(text)): Buffer =>
  Buffer.from(JSON.stringify({ document: text, signature: 'c2lnbmF0dXJl', rsa2048 }));

type Answers = Parameters<typeof startAwsStandIn>[0];
const RUNNING: Answers = {
  DescribeInstances: () =>
    describeInstancesXml({
      instanceId: INSTANCE,
      ownerId: ACCOUNT,
      profileArn: PROFILE,
      tags: { Name: 'blog', empty: '', 'a:b': 'x &lt;y&gt; &#xe9;' },
    }),
  GetInstanceProfile: () => instanceProfileXml(PROFILE, ROLE),
};

interface Wish {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly answers?: Answers;
  readonly payload?: Buffer;
}

async function attest(wish: Wish = {}): Promise<ProvenNode> {
  const standIn = await startAwsStandIn(wish.answers ?? RUNNING);
  aws.push(standIn);
  const config = awsIidConfigSchema.parse({ verification_certificates: files, ...wish.config });
  const real = awsEndpoints(config.partition);
  const attestor = await createAwsIid(
    config,
    {
      trustDomain: parseTrustDomain('example.org'),
      clock: systemClock,
      signal: new AbortController().signal,
    },
    {
      endpoints: (service, region) => ({ ...real(service, region), url: standIn.url }),
      loadCredentials: () =>
        Promise.resolve({
          credentials: { accessKeyId: 'AKIAOWN', secretAccessKey: 'own secret' },
          expiresAt: undefined,
        }),
    },
  );
  const evidence: NodeEvidence = {
    payload: wish.payload ?? payload(),
    csrHash: Buffer.alloc(32),
    now: systemClock.now(),
    challenge: () => Promise.reject(new Error('there is nothing to ask')),
    recall: () => Promise.resolve(undefined),
  };
  return attestor.attest(evidence);
}

const asked = (): readonly string[] => aws.flatMap((standIn) => standIn.asked());

describe('aws_iid', () => {
  it('names the instance and tells of it what SPIRE tells', async () => {
    const node = await attest();
    expect(node.agentId).toBe(`spiffe://example.org/spire/agent/aws_iid/${ACCOUNT}/us-east-1/${INSTANCE}`);
    expect(node.isTrustedOnFirstUse).toBe(true);
    expect(node.canReattest).toBe(false);
    expect(node.selectors.map(formatSelector).sort()).toEqual([
      `aws_iid:account_id:${ACCOUNT}`,
      'aws_iid:az:us-east-1a',
      `aws_iid:iamrole:${ROLE}`,
      'aws_iid:image:id:ami-0fa9e1f64142cde17',
      `aws_iid:instance:id:${INSTANCE}`,
      'aws_iid:region:us-east-1',
      'aws_iid:sg:id:sg-01',
      'aws_iid:sg:id:sg-02',
      'aws_iid:sg:name:a & b',
      'aws_iid:sg:name:web',
      'aws_iid:tag:Name:blog',
      'aws_iid:tag:a:b:x <y> é',
      'aws_iid:tag:empty:',
    ]);
    expect(asked()).toEqual([
      'AKIAOWN ec2/us-east-1 DescribeInstances',
      'AKIAOWN iam/us-east-1 GetInstanceProfile',
    ]);
  });

  it('leaves IAM alone when told to', async () => {
    const node = await attest({ config: { disable_instance_profile_selectors: true } });
    expect(node.selectors.some(({ value }) => value.startsWith('iamrole:'))).toBe(false);
    expect(asked()).toEqual(['AKIAOWN ec2/us-east-1 DescribeInstances']);
  });

  it('forms the ID by a template, also of tags', async () => {
    const node = await attest({
      config: { agent_path_template: '/{{ .PluginName }}/{{ .AccountID }}/{{ .Tags.Name }}' },
    });
    expect(node.agentId).toBe(`spiffe://example.org/spire/agent/aws_iid/${ACCOUNT}/blog`);
    expect(node.hasConfiguredPath).toBe(true);
  });

  it('assumes the role of the account', async () => {
    await attest({
      config: { assume_role: 'spire-server-delegate', partition: 'aws-us-gov' },
      answers: {
        ...RUNNING,
        AssumeRole: ({ body }) => {
          const role = new URLSearchParams(body).get('RoleArn');
          if (role !== `arn:aws-us-gov:iam::${ACCOUNT}:role/spire-server-delegate`) return undefined;
          return assumedRoleXml('ASIAASSUMED', new Date(systemClock.now().getTime() + 3_600_000));
        },
      },
    });
    expect(asked()).toEqual([
      'AKIAOWN sts/us-east-1 AssumeRole',
      'ASIAASSUMED ec2/us-east-1 DescribeInstances',
      'ASIAASSUMED iam/us-gov-west-1 GetInstanceProfile',
    ]);
  });
});

describe('evidence for aws_iid', () => {
  const other = document({ instanceId: 'i-0bad0bad0bad0bad0' });
  const twice = document().replace('{', `{ "instanceId": "i-0bad0bad0bad0bad0",`);

  it.each<[string, () => Buffer, RegExp]>([
    [
      'a document whose signature covers another',
      () => payload(other, sign(document())),
      /not the one that is signed/,
    ],
    ['a document that only says the same', () => payload(`${document()} `, sign(document())), /not the one/],
    ['a field twice', () => payload(twice), /has "instanceId" twice/],
    [
      'the key of another region',
      () => payload(document(), sign(document(), west)),
      /signed for by the key of us-west-2/,
    ],
    [
      'a region without a certificate',
      () => payload(document({ region: 'eu-west-1' })),
      /of region eu-west-1 is signed for by the key of us-east-1/,
    ],
    ['no RSA-2048 signature', () => payload(document(), ''), /RSA-1024 one is not accepted/],
    [
      'an instance ID that is a path',
      () => payload(document({ instanceId: 'i-01234567/../x' })),
      /instanceId/,
    ],
    ['an account that is none', () => payload(document({ accountId: '12/34' })), /accountId/],
    ['too much', () => Buffer.alloc(200_000, 0x20), /longer than/],
    ['what is not JSON', () => Buffer.from('document'), /not JSON/],
  ])('is refused with %s, and AWS is not asked', async (_, made, message) => {
    await expect(attest({ payload: made() })).rejects.toThrow(message);
    expect(asked()).toEqual([]);
  });

  it('is refused when a stranger signed it under the name of AWS', async () => {
    const name = 'Amazon Web Services LLC';
    const stranger = await createTestParty({ name, keyType: 'rsa-2048', withoutKeyIds: true });
    const made = createTestSignedData({
      signer: stranger,
      content: Buffer.from(document()),
      withAttributes: true,
      certificates: [stranger.certificate],
    });
    await expect(attest({ payload: payload(document(), made.toString('base64')) })).rejects.toThrow(
      /not signed by a certificate of verification_certificates/,
    );
  });

  it('is refused of accounts that are not allowed, before AWS is asked', async () => {
    await expect(attest({ config: { allowed_account_ids: ['999999999999'] } })).rejects.toThrow(
      /not of allowed_account_ids/,
    );
    expect(asked()).toEqual([]);
  });
});

describe('a root volume that was moved', () => {
  const moved = describeInstancesXml({ instanceId: INSTANCE, ownerId: ACCOUNT, attachedApart: 3600 });
  const answers = { DescribeInstances: () => moved };

  it('keeps the instance out', async () => {
    await expect(attest({ answers })).rejects.toThrow(/attached 3600 seconds apart/);
  });

  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['skip_block_device', { skip_block_device: true }],
    ['account_ids_for_local_validation', { account_ids_for_local_validation: [ACCOUNT] }],
  ])('does not with %s', async (_, config) => {
    await expect(attest({ config, answers })).resolves.toBeDefined();
  });
});

describe('an organization', () => {
  const api = { management_account_id: '111111111111', assume_org_role: 'list-accounts' };
  const assumed = (): string => assumedRoleXml('ASIAORG', new Date(systemClock.now().getTime() + 3_600_000));
  const pages = (status: string): Answers => ({
    ...RUNNING,
    AssumeRole: assumed,
    ListAccounts: ({ body }) =>
      body.includes('NextToken')
        ? JSON.stringify({ Accounts: [{ Id: ACCOUNT, Status: status }] })
        : JSON.stringify({ Accounts: [{ Id: '222222222222', Status: 'ACTIVE' }], NextToken: 'page 2' }),
  });

  it('lets in its active accounts', async () => {
    await attest({ config: { verify_organization: api }, answers: pages('ACTIVE') });
    expect(asked().slice(0, 3)).toEqual([
      'AKIAOWN sts/us-west-2 AssumeRole',
      'ASIAORG organizations/us-east-1 ListAccounts',
      'ASIAORG organizations/us-east-1 ListAccounts',
    ]);
  });

  it('keeps out accounts that are suspended, and everybody when it cannot be asked', async () => {
    const config = { verify_organization: api };
    await expect(attest({ config, answers: pages('SUSPENDED') })).rejects.toThrow(/not an active account/);
    await expect(attest({ config, answers: RUNNING })).rejects.toThrow(/sts of AWS refused/);
  });

  it('can be a file', async () => {
    const file = directory.join('accounts.json');
    const config = { verify_organization: { account_list_file: file } };
    await writeFile(file, JSON.stringify([ACCOUNT]));
    await expect(attest({ config })).resolves.toBeDefined();
    await writeFile(file, '[]');
    await expect(attest({ config })).rejects.toThrow(/not an active account/);
    await writeFile(file, '["12"]');
    await expect(attest({ config })).rejects.toThrow(/not a JSON array of 12-digit account IDs/);
  });
});
