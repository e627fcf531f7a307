/** EC2, IAM, STS and Organizations as far as node attestation asks them, in their shapes, on a plain HTTP server. */
import {
  startHttpStandIn,
  type HttpStandIn,
  type StandInAnswer,
  type StandInRequest,
} from './http-stand-in.js';

export interface AwsStandIn extends HttpStandIn {
  /** Of each request: `service/region` of its signature, and what was asked: `ec2/us-east-1 DescribeInstances`. */
  asked(): readonly string[];
}

export interface StandInInstance {
  readonly instanceId: string;
  readonly ownerId: string;
  /** Seconds between the first interface and the root volume. */
  readonly attachedApart?: number;
  readonly profileArn?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

const ATTACHED = Date.UTC(2026, 10, 1, 12);

/** DescribeInstances' answer, as of API version 2016-11-15. */
export function describeInstancesXml(...instances: readonly StandInInstance[]): string {
  const reservations = instances.map(({ instanceId, ownerId, attachedApart = 1, profileArn, tags = {} }) => {
    const tagItems = Object.entries(tags).map(
      ([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`,
    );
    const attachTime = (seconds: number): string =>
      `<attachTime>${new Date(ATTACHED + seconds * 1000).toISOString()}</attachTime>`;
    return `<item>
      <reservationId>r-0abc</reservationId><ownerId>${ownerId}</ownerId><groupSet/>
      <instancesSet><item>
        <instanceId>${instanceId}</instanceId><imageId>ami-0fa9e1f64142cde17</imageId>
        <instanceState><code>16</code><name>running</name></instanceState>
        <placement><availabilityZone>us-east-1a</availabilityZone></placement>
        <groupSet>
          <item><groupId>sg-01</groupId><groupName>web</groupName></item>
          <item><groupId>sg-02</groupId><groupName>a &amp; b</groupName></item>
        </groupSet>
        <rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
        <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName>
          <ebs><volumeId>vol-01</volumeId>${attachTime(attachedApart)}</ebs></item></blockDeviceMapping>
        ${tagItems.length === 0 ? '<tagSet/>' : `<tagSet>${tagItems.join('')}</tagSet>`}
        <networkInterfaceSet><item><networkInterfaceId>eni-01</networkInterfaceId>
          <attachment><deviceIndex>0</deviceIndex>${attachTime(0)}</attachment></item></networkInterfaceSet>
        ${profileArn === undefined ? '' : `<iamInstanceProfile><arn>${profileArn}</arn><id>AIP</id></iamInstanceProfile>`}
      </item></instancesSet></item>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>8f7724cf</requestId>
    ${reservations.length === 0 ? '<reservationSet/>' : `<reservationSet>${reservations.join('')}</reservationSet>`}
</DescribeInstancesResponse>`;
}

export function instanceProfileXml(arn: string, ...roles: readonly string[]): string {
  const members = roles.map((role) => `<member><Arn>${role}</Arn><RoleName>x</RoleName></member>`);
  return `<GetInstanceProfileResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetInstanceProfileResult><InstanceProfile>
<Arn>${arn}</Arn><Roles>${members.join('')}</Roles></InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>`;
}

export function assumedRoleXml(accessKeyId: string, expiresAt: Date): string {
  return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>assumed secret</SecretAccessKey><SessionToken>assumed token</SessionToken>
<Expiration>${expiresAt.toISOString()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;
}

/** @param answers by action; an action that is not among them is refused as AWS refuses. */
export async function startAwsStandIn(
  answers: Readonly<Record<string, (request: StandInRequest) => StandInAnswer | string | undefined>>,
): Promise<AwsStandIn> {
  const standIn = await startHttpStandIn((request) => {
    const answer = answers[actionOf(request)];
    if (answer === undefined)
      return {
        status: 403,
        body: '<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>',
      };
    const made = answer(request);
    return typeof made === 'string' ? { body: made } : made;
  });
  return {
    ...standIn,
    asked: () => standIn.requests.map((request) => `${scopeOf(request)} ${actionOf(request)}`),
  };
}

function actionOf({ headers, body }: StandInRequest): string {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.replace(/^.*\./, '');
  return new URLSearchParams(body).get('Action') ?? '';
}

/** Who signed, and for which service and region. */
function scopeOf({ headers }: StandInRequest): string {
  const [, key, region, service] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request/.exec(
      String(headers['authorization'] ?? ''),
    ) ?? [];
  return `${key ?? 'nobody'} ${service ?? '?'}/${region ?? '?'}`;
}
