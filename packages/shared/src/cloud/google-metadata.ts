/** The metadata service of a Google Compute Engine instance: plain HTTP by nature, at a name that only the instance resolves. */
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { sendRequest } from '../http/send-request.js';

export const GOOGLE_METADATA_ENDPOINT: URL = new URL('http://metadata.google.internal/');

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;

/** @param text a host, or a host and port, as SPIRE's configurations have it. @throws BonafideError `invalid_argument`. */
export function parseGoogleMetadataHost(text: string): URL {
  const url = URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`) : undefined;
  if (url !== undefined && /^[^@/?#\\\s]+$/.test(text)) return url;
  throw invalidArgument(`${JSON.stringify(text)} is no host; expected for example metadata.google.internal`);
}

/**
 * @param path behind `/computeMetadata/v1/`, with its query.
 * @throws BonafideError `unavailable` when there is no such service or it has nothing there, `cancelled`.
 */
export async function readGoogleMetadata(endpoint: URL, path: string, signal: AbortSignal): Promise<string> {
  const { status, body } = await sendRequest({
    method: 'GET',
    url: new URL(`/computeMetadata/v1/${path}`, endpoint),
    allowsPlainHttp: true,
    // Without it the service refuses, so that a browser or a proxy cannot be tricked into asking.
    headers: { 'metadata-flavor': 'Google' },
    limitMs: LIMIT_MS,
    largestAnswerBytes: LARGEST_ANSWER_BYTES,
    signal,
  });
  if (status === 200) return body;
  const [name = path] = path.split('?');
  throw new BonafideError('unavailable', `the metadata service answered ${name} with status ${status}`);
}
