/** The metadata service of an EC2 instance, by version 2 of its protocol: a session token first, which a tricked proxy cannot obtain. */
import { BonafideError } from '../errors/bonafide-error.js';
import { sendRequest } from '../http/send-request.js';
import { parseMetadataEndpoint } from './metadata-endpoint.js';

export const EC2_METADATA_ENDPOINT: URL = parseMetadataEndpoint('http://169.254.169.254');

const TOKEN_SECONDS = '60';
const LIMIT_MS = 5_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;

/** One session: good for as long as it takes to read a few things. */
export class Ec2MetadataSession {
  readonly #endpoint: URL;
  readonly #token: string;
  readonly #signal: AbortSignal;

  private constructor(endpoint: URL, token: string, signal: AbortSignal) {
    this.#endpoint = endpoint;
    this.#token = token;
    this.#signal = signal;
  }

  /** @throws BonafideError `unavailable` when there is no such service, `cancelled`. */
  static async open(endpoint: URL, signal: AbortSignal): Promise<Ec2MetadataSession> {
    const { status, body } = await sendRequest({
      method: 'PUT',
      url: new URL('/latest/api/token', endpoint),
      allowsPlainHttp: true,
      headers: { 'x-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS },
      limitMs: LIMIT_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal,
    });
    if (status !== 200 || !/^[\x21-\x7e]{1,1024}$/.test(body)) {
      throw new BonafideError(
        'unavailable',
        `the metadata service at ${endpoint.origin} gave no session token (status ${status}); IMDSv2 must be enabled on the instance`,
      );
    }
    return new Ec2MetadataSession(endpoint, body, signal);
  }

  /** @param path begins with `/latest/`. @returns what is there; undefined: nothing is. @throws BonafideError `unavailable`, `cancelled`. */
  async read(path: string): Promise<string | undefined> {
    const { status, body } = await sendRequest({
      method: 'GET',
      url: new URL(path, this.#endpoint),
      allowsPlainHttp: true,
      headers: { 'x-aws-ec2-metadata-token': this.#token },
      limitMs: LIMIT_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal: this.#signal,
    });
    if (status === 404) return undefined;
    if (status === 200) return body;
    throw new BonafideError('unavailable', `the metadata service answered ${path} with status ${status}`);
  }
}
