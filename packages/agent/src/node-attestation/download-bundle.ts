/** Fetches a trust bundle over HTTPS, authenticated by the web's own certificate authorities, and no more of it than is sensible. */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

/** As much as the parser of bundles takes. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_REDIRECTS = 5;
const LONGEST_SILENCE_MS = 20_000;

interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Certificate authorities, PEM, in place of the system's. */
  readonly webAuthorities?: readonly string[];
}

/** @throws BonafideError `unavailable`, with what the server at the URL said or why it could not be asked. */
export async function downloadBundle(url: string, options: DownloadOptions): Promise<string> {
  let location = new URL(url);
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
    if (location.protocol !== 'https:') {
      throw failure(url, `it leads to ${location.href}, which is not https`);
    }
    const response = await get(location, options).catch((error: unknown) => {
      throw failure(url, errorMessage(error), error);
    });
    const { statusCode = 0, headers } = response;
    if (statusCode === 200) return await readBody(url, response);
    response.destroy();
    const isRedirect = statusCode >= 301 && statusCode <= 308 && headers.location !== undefined;
    if (!isRedirect) throw failure(url, `the answer has status ${statusCode}`);
    location = new URL(headers.location ?? '', location);
  }
  throw failure(url, `more than ${MOST_REDIRECTS} redirects`);
}

function get(url: URL, { signal, webAuthorities }: DownloadOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { signal, timeout: LONGEST_SILENCE_MS, ca: webAuthorities?.slice(), agent: false },
      resolve,
    );
    call.once('timeout', () => call.destroy(new Error(`no answer within ${LONGEST_SILENCE_MS} ms`)));
    call.once('error', reject);
    call.end();
  });
}

async function readBody(url: string, response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MOST_BYTES) {
        throw failure(url, `the answer is longer than ${MOST_BYTES} bytes`);
      }
      parts.push(part);
    }
  } catch (error) {
    throw error instanceof BonafideError ? error : failure(url, errorMessage(error), error);
  }
  return Buffer.concat(parts).toString('utf8');
}

function failure(url: string, why: string, cause?: unknown): BonafideError {
  return new BonafideError('unavailable', `cannot fetch the trust bundle from ${url}: ${why}`, { cause });
}
