/** An EC2 instance as the EC2 API describes it: DescribeInstances, for one instance that is starting or running. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { AwsApi, AwsCredentials } from './aws-request.js';
import type { IdentityDocument } from './identity-document.js';
import { parseXmlAnswer, xmlList } from './xml-answer.js';

const time = z.iso.datetime().transform((text) => new Date(text));

const instanceSchema = z.object({
  instanceId: z.string(),
  rootDeviceType: z.string().optional(),
  rootDeviceName: z.string().optional(),
  blockDeviceMapping: xmlList(
    z.object({ deviceName: z.string(), ebs: z.object({ attachTime: time }).optional() }),
  ),
  networkInterfaceSet: xmlList(
    z.object({ attachment: z.object({ deviceIndex: z.string(), attachTime: time }).optional() }),
  ),
  groupSet: xmlList(z.object({ groupId: z.string(), groupName: z.string() })),
  tagSet: xmlList(z.object({ key: z.string(), value: z.string() })),
  iamInstanceProfile: z.object({ arn: z.string() }).optional(),
});
export type Ec2Instance = z.output<typeof instanceSchema>;

const answerSchema = z.object({
  DescribeInstancesResponse: z.object({
    reservationSet: xmlList(z.object({ ownerId: z.string(), instancesSet: xmlList(instanceSchema) })),
  }),
});

interface InstanceQuestion {
  readonly api: AwsApi;
  readonly credentials: AwsCredentials;
  readonly document: IdentityDocument;
  readonly signal: AbortSignal;
}

/**
 * @throws BonafideError `permission_denied` when that instance is not running or not that account's, `unavailable` when the API does not
 * say.
 */
export async function describeInstance({
  api,
  credentials,
  document,
  signal,
}: InstanceQuestion): Promise<Ec2Instance> {
  const { instanceId, region, accountId } = document;
  const body = new URLSearchParams({
    Action: 'DescribeInstances',
    Version: '2016-11-15',
    'InstanceId.1': instanceId,
    'Filter.1.Name': 'instance-state-name',
    'Filter.1.Value.1': 'pending',
    'Filter.1.Value.2': 'running',
  }).toString();
  const text = await api.send({
    service: 'ec2',
    region,
    credentials,
    contentType: 'application/x-www-form-urlencoded; charset=utf-8',
    body,
    signal,
  });
  const { DescribeInstancesResponse: answer } = parseXmlAnswer(answerSchema, text, 'DescribeInstances');
  const found = answer.reservationSet.flatMap(({ ownerId, instancesSet }) =>
    instancesSet.map((instance) => ({ ownerId, instance })),
  );
  const [only] = found;
  if (only === undefined) {
    throw new BonafideError(
      'permission_denied',
      `no instance ${instanceId} is starting or running in region ${region} of the account that the server asks`,
    );
  }
  if (found.length > 1 || only.instance.instanceId !== instanceId) {
    throw new BonafideError('unavailable', `EC2 did not answer with the instance ${instanceId} alone`);
  }
  if (only.ownerId !== accountId) {
    throw new BonafideError(
      'permission_denied',
      `instance ${instanceId} is not of the account ${accountId} that its identity document names`,
    );
  }
  return only.instance;
}
