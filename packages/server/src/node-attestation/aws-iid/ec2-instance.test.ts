import { systemClock } from '@bonafide/shared/runtime/clock';
import { describeInstancesXml, startAwsStandIn } from '@bonafide/testing/aws-stand-in';
import { describe, expect, it } from 'vitest';
import { AwsApi } from './aws-request.js';
import { describeInstance, type Ec2Instance } from './ec2-instance.js';

const ACCOUNT = '123456789012';
const INSTANCE = 'i-078517ca8a70a1dde';

/** @param body undefined: the answer never comes. */
async function describeWith(
  answers: Parameters<typeof startAwsStandIn>[0],
  limitMs = 30_000,
): Promise<Ec2Instance> {
  const aws = await startAwsStandIn(answers);
  try {
    const endpoints = (_: string, signingRegion: string): { url: URL; signingRegion: string } => ({
      url: aws.url,
      signingRegion,
    });
    return await describeInstance({
      api: new AwsApi({ endpoints, clock: systemClock, limitMs }),
      credentials: { accessKeyId: 'AKIAOWN', secretAccessKey: 'own secret' },
      document: {
        accountId: ACCOUNT,
        instanceId: INSTANCE,
        region: 'us-east-1',
        imageId: 'ami-0fa9e1f64142cde17',
        availabilityZone: 'us-east-1a',
      },
      signal: new AbortController().signal,
    });
  } finally {
    await aws.stop();
  }
}

describe('what EC2 answers', () => {
  const bomb = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>${describeInstancesXml({ instanceId: '&b;', ownerId: ACCOUNT })}`;
  const right = { instanceId: INSTANCE, ownerId: ACCOUNT };

  it.each<[string, string, RegExp]>([
    ['nothing', describeInstancesXml(), /no instance i-078517ca8a70a1dde is starting or running/],
    ['another instance', describeInstancesXml({ ...right, instanceId: 'i-01234567' }), /alone/],
    ['two instances', describeInstancesXml(right, right), /alone/],
    ['another account', describeInstancesXml({ ...right, ownerId: '999999999999' }), /not of the account/],
    ['an entity-expansion bomb', bomb, /has a declaration/],
    ['an entity of nobody', describeInstancesXml({ ...right, instanceId: '&lol;' }), /alone/],
    ['deep nesting', '<a>'.repeat(10_000), /cannot be read/],
    ['what is not XML', 'hello', /lacks what is expected/],
    ['too much', 'x'.repeat(2 * 1024 * 1024), /longer than/],
  ])('is refused when it is %s', async (_, body, message) => {
    await expect(describeWith({ DescribeInstances: () => body })).rejects.toThrow(message);
  });

  it('is not waited for without an end', async () => {
    const never = { DescribeInstances: (): undefined => undefined };
    await expect(describeWith(never, 200)).rejects.toThrow(/no answer within 200 ms/);
  });

  it('may be a refusal, which is told with what to mend', async () => {
    await expect(describeWith({})).rejects.toThrow(
      /ec2 of AWS refused with status 403 \(UnauthorizedOperation\); the server's credentials must be allowed/,
    );
  });
});
