/** The metadata service of an Azure virtual machine. */
import { BonafideError } from '../errors/bonafide-error.js';
import { sendRequest } from '../http/send-request.js';
import { parseUniqueJsonObject, type JsonObject } from '../jwt/unique-json.js';
import { parseMetadataEndpoint } from './metadata-endpoint.js';

export const AZURE_METADATA_ENDPOINT: URL = parseMetadataEndpoint('http://169.254.169.254');

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 128 * 1024;

/**
 * @param path with its query, beginning with `/metadata/`.
 * @throws BonafideError `unavailable` when there is no such service or it refuses, `cancelled`.
 */
export async function readAzureMetadata(
  endpoint: URL,
  path: string,
  signal: AbortSignal,
): Promise<JsonObject> {
  const { status, bytes } = await sendRequest({
    method: 'GET',
    url: new URL(path, endpoint),
    allowsPlainHttp: true,
    // Without it the service refuses, so that a browser or a proxy cannot be tricked into asking.
    headers: { metadata: 'true' },
    limitMs: LIMIT_MS,
    largestAnswerBytes: LARGEST_ANSWER_BYTES,
    signal,
  });
  const [name = path] = path.split('?');
  if (status !== 200) {
    throw new BonafideError('unavailable', `the metadata service answered ${name} with status ${status}`);
  }
  return parseUniqueJsonObject(bytes, `answer of the metadata service to ${name}`);
}
