/** With what the server asks AWS: keys of its configuration or environment, or the role of the instance it runs on; and roles it assumes. */
import { EC2_METADATA_ENDPOINT, Ec2MetadataSession } from '@bonafide/shared/cloud/ec2-metadata';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseUniqueJsonText } from '@bonafide/shared/jwt/unique-json';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';
import type { AwsIidConfig } from './aws-iid-config.js';
import type { AwsApi, AwsCredentials } from './aws-request.js';
import { parseXmlAnswer } from './xml-answer.js';

export interface ExpiringCredentials {
  readonly credentials: AwsCredentials;
  /** Undefined: never. */
  readonly expiresAt: Date | undefined;
}

export type LoadCredentials = (signal: AbortSignal) => Promise<ExpiringCredentials>;

/** Had anew when so little is left. */
const REFRESH_BEFORE_MS = 5 * 60_000;

/** Credentials that expire, kept until shortly before they do; those who ask at the same time wait for one answer. */
export class CachedCredentials {
  readonly #load: LoadCredentials;
  readonly #clock: Clock;
  #held: ExpiringCredentials | undefined;
  #loading: Promise<ExpiringCredentials> | undefined;

  constructor(load: LoadCredentials, clock: Clock) {
    this.#load = load;
    this.#clock = clock;
  }

  /** @param signal of the server: no single attestation ends what others wait for. */
  async get(signal: AbortSignal): Promise<AwsCredentials> {
    const held = this.#held;
    const now = this.#clock.now().getTime();
    if (
      held !== undefined &&
      (held.expiresAt === undefined || held.expiresAt.getTime() - now > REFRESH_BEFORE_MS)
    )
      return held.credentials;
    this.#loading ??= this.#load(signal).finally(() => {
      this.#loading = undefined;
    });
    this.#held = await this.#loading;
    return this.#held.credentials;
  }
}

/**
 * @param environment AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are read of it.
 * @throws BonafideError `invalid_argument` when the environment names one key without the other.
 */
export function ownCredentials(
  config: Pick<AwsIidConfig, 'access_key_id' | 'secret_access_key'>,
  environment: Readonly<Record<string, string | undefined>>,
  metadataEndpoint: URL = EC2_METADATA_ENDPOINT,
): LoadCredentials {
  const { access_key_id: configuredId, secret_access_key: configuredSecret } = config;
  if (configuredId !== undefined && configuredSecret !== undefined)
    return forever({ accessKeyId: configuredId, secretAccessKey: configuredSecret });
  const accessKeyId = environment['AWS_ACCESS_KEY_ID'] ?? '';
  const secretAccessKey = environment['AWS_SECRET_ACCESS_KEY'] ?? '';
  if ((accessKeyId === '') !== (secretAccessKey === '')) {
    throw new BonafideError(
      'invalid_argument',
      'the environment has one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; expected both or none',
    );
  }
  if (accessKeyId === '') return (signal) => instanceCredentials(metadataEndpoint, signal);
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  return forever({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined || sessionToken === '' ? {} : { sessionToken }),
  });
}

function forever(credentials: AwsCredentials): LoadCredentials {
  return () => Promise.resolve({ credentials, expiresAt: undefined });
}

const expiration = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const instanceSchema = z.object({
  Code: z.literal('Success'),
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: expiration,
});
const ROLES = '/latest/meta-data/iam/security-credentials/';

/** Of the role that the instance has on which this server runs. */
async function instanceCredentials(endpoint: URL, signal: AbortSignal): Promise<ExpiringCredentials> {
  const metadata = await Ec2MetadataSession.open(endpoint, signal);
  const [role = ''] = (await metadata.read(ROLES))?.split('\n') ?? [];
  if (!/^[\w+=,.@-]{1,128}$/.test(role)) {
    throw new BonafideError(
      'failed_precondition',
      'the server has no credentials for AWS: neither access_key_id, nor AWS_ACCESS_KEY_ID, nor a role of the instance it runs on',
    );
  }
  const text = (await metadata.read(`${ROLES}${role}`)) ?? '{}';
  const parsed = instanceSchema.safeParse(parseUniqueJsonText(text, 'credentials of the instance'));
  if (!parsed.success)
    throw new BonafideError('unavailable', `the metadata service gave no credentials for the role ${role}`);
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = parsed.data;
  return {
    credentials: { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token },
    expiresAt: Expiration,
  };
}

const assumedSchema = z.object({
  AssumeRoleResponse: z.object({
    AssumeRoleResult: z.object({
      Credentials: z.object({
        AccessKeyId: z.string().min(1),
        SecretAccessKey: z.string().min(1),
        SessionToken: z.string().min(1),
        Expiration: expiration,
      }),
    }),
  }),
});

interface RoleToAssume {
  readonly api: AwsApi;
  readonly own: CachedCredentials;
  readonly region: string;
  readonly roleArn: string;
}

/** STS AssumeRole. */
export function assumedCredentials({ api, own, region, roleArn }: RoleToAssume): LoadCredentials {
  return async (signal) => {
    const body = new URLSearchParams({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: 'bonafide-server',
    }).toString();
    const text = await api.send({
      service: 'sts',
      region,
      credentials: await own.get(signal),
      contentType: 'application/x-www-form-urlencoded; charset=utf-8',
      body,
      signal,
    });
    const { Credentials: assumed } = parseXmlAnswer(assumedSchema, text, 'AssumeRole').AssumeRoleResponse
      .AssumeRoleResult;
    return {
      credentials: {
        accessKeyId: assumed.AccessKeyId,
        secretAccessKey: assumed.SecretAccessKey,
        sessionToken: assumed.SessionToken,
      },
      expiresAt: assumed.Expiration,
    };
  };
}
