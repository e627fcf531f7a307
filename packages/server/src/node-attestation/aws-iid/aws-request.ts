/** One request to an API of AWS: signed (Signature Version 4), to the host of its service and region, bounded in time and size. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import type { Clock } from '@bonafide/shared/runtime/clock';
import aws4 from 'aws4';
import type { AwsPartition } from './aws-iid-config.js';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

type AwsService = 'ec2' | 'iam' | 'sts' | 'organizations';

export interface AwsRequest {
  readonly service: AwsService;
  /** Services that are the same everywhere are asked where they are, whatever this is. */
  readonly region: string;
  readonly credentials: AwsCredentials;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

interface AwsEndpoint {
  readonly url: URL;
  readonly signingRegion: string;
}

/** Where a service of a region answers. */
export type AwsEndpoints = (service: AwsService, region: string) => AwsEndpoint;

/** As of https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html. */
const GLOBAL: Readonly<
  Record<AwsPartition, Readonly<Record<'iam' | 'organizations', readonly [host: string, region: string]>>>
> = {
  aws: {
    iam: ['iam.amazonaws.com', 'us-east-1'],
    organizations: ['organizations.us-east-1.amazonaws.com', 'us-east-1'],
  },
  'aws-cn': {
    iam: ['iam.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    organizations: ['organizations.cn-northwest-1.amazonaws.com.cn', 'cn-northwest-1'],
  },
  'aws-us-gov': {
    iam: ['iam.us-gov.amazonaws.com', 'us-gov-west-1'],
    organizations: ['organizations.us-gov-west-1.amazonaws.com', 'us-gov-west-1'],
  },
};

export function awsEndpoints(partition: AwsPartition): AwsEndpoints {
  const suffix = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
  return (service, region) => {
    if (service === 'ec2' || service === 'sts')
      return { url: new URL(`https://${service}.${region}.${suffix}/`), signingRegion: region };
    const [host, signingRegion] = GLOBAL[partition][service];
    return { url: new URL(`https://${host}/`), signingRegion };
  };
}

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 1024 * 1024;

interface AwsApiOptions {
  readonly endpoints: AwsEndpoints;
  readonly clock: Clock;
  /** Of one request. */
  readonly limitMs?: number;
}

export class AwsApi {
  readonly #endpoints: AwsEndpoints;
  readonly #clock: Clock;
  readonly #limitMs: number;

  constructor(options: AwsApiOptions) {
    this.#endpoints = options.endpoints;
    this.#clock = options.clock;
    this.#limitMs = options.limitMs ?? LIMIT_MS;
  }

  /** @returns the body of the answer. @throws BonafideError `unavailable` when there is none, `permission_denied` when AWS refuses. */
  async send({
    service,
    region,
    credentials,
    contentType,
    headers,
    body,
    signal,
  }: AwsRequest): Promise<string> {
    const { url, signingRegion } = this.#endpoints(service, region);
    const signed = aws4.sign(
      {
        service,
        region: signingRegion,
        host: url.host,
        method: 'POST',
        path: '/',
        headers: {
          'content-type': contentType,
          'x-amz-date': this.#clock
            .now()
            .toISOString()
            .replace(/[:-]|\.\d{3}/g, ''),
          ...headers,
        },
        body,
      },
      {
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: credentials.secretAccessKey,
        ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
      },
    );
    const answer = await sendRequest({
      method: 'POST',
      url,
      allowsPlainHttp: url.protocol === 'http:', // none of `awsEndpoints` is
      headers: Object.fromEntries(
        Object.entries(signed.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
      ),
      body,
      limitMs: this.#limitMs,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal,
    });
    if (answer.status === 200) return answer.body;
    // AWS says why: a code and a sentence. Only the code is passed on.
    const code = /<Code>([\w.]{1,100})<\/Code>|"__type":"(?:[^"#]{0,100}#)?([\w.]{1,100})"/.exec(answer.body);
    throw new BonafideError(
      answer.status >= 500 || answer.status === 429 ? 'unavailable' : 'permission_denied',
      `${service} of AWS refused with status ${answer.status}${code === null ? '' : ` (${code[1] ?? code[2] ?? ''})`}; the server's credentials must be allowed to ask it`,
    );
  }
}
