/** The IAM roles of an instance's profile: GetInstanceProfile. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { AwsApi, AwsCredentials } from './aws-request.js';
import { parseXmlAnswer, xmlList } from './xml-answer.js';

const answerSchema = z.object({
  GetInstanceProfileResponse: z.object({
    GetInstanceProfileResult: z.object({
      InstanceProfile: z.object({
        Arn: z.string(),
        Roles: xmlList(z.object({ Arn: z.string().min(1) })),
      }),
    }),
  }),
});

/** The resource of an ARN (arn:partition:iam::account:instance-profile/path/name); its last part is the name. */
const PROFILE_ARN =
  /^arn:[a-z-]{1,16}:iam::[0-9]{12}:instance-profile\/(?:[\x21-\x7e]{1,512}\/)?([\w+=,.@-]{1,128})$/;

interface ProfileQuestion {
  readonly api: AwsApi;
  readonly credentials: AwsCredentials;
  readonly region: string;
  readonly profileArn: string;
  readonly signal: AbortSignal;
}

/** @returns ARNs. @throws BonafideError `unavailable` when IAM does not say, `permission_denied` when the server may not ask. */
export async function rolesOfInstanceProfile({
  api,
  credentials,
  region,
  profileArn,
  signal,
}: ProfileQuestion): Promise<readonly string[]> {
  const [, name] = PROFILE_ARN.exec(profileArn) ?? [];
  if (name === undefined)
    throw new BonafideError('unavailable', 'EC2 named an instance profile by what is not the ARN of one');
  const body = new URLSearchParams({
    Action: 'GetInstanceProfile',
    Version: '2010-05-08',
    InstanceProfileName: name,
  }).toString();
  const text = await api.send({
    service: 'iam',
    region,
    credentials,
    contentType: 'application/x-www-form-urlencoded; charset=utf-8',
    body,
    signal,
  });
  const { InstanceProfile: profile } = parseXmlAnswer(answerSchema, text, 'GetInstanceProfile')
    .GetInstanceProfileResponse.GetInstanceProfileResult;
  if (profile.Arn !== profileArn)
    throw new BonafideError('unavailable', `IAM answered with another instance profile than ${profileArn}`);
  return profile.Roles.map(({ Arn }) => Arn);
}
