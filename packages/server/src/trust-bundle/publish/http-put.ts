/** `http_put`: the bundle as the body of an HTTPS PUT, as object stores and web servers take it. */
import { readFile } from 'node:fs/promises';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import { z } from 'zod';
import type { BundlePublisherPlugin } from './bundle-publisher.js';
import { contentTypeOf, formatPublishedBundle, publishedFormatSchema } from './published-format.js';

const path = z.string().min(1);

const configSchema = z
  .strictObject({
    url: parsedString(parseTarget),
    format: publishedFormatSchema.default('spiffe'),
    /** Read again for every request, so that it can be replaced. */
    bearer_token_file: path.optional(),
    /** PEM, read again for every request. */
    client_cert_path: path.optional(),
    client_key_path: path.optional(),
    /** PEM of the roots of the target's certificate; those that Node.js trusts when absent. */
    trusted_roots_path: path.optional(),
    timeout: durationSchema.prefault('30s'),
  })
  .refine((config) => (config.client_cert_path === undefined) === (config.client_key_path === undefined), {
    message: 'names one of client_cert_path and client_key_path; expected both or none',
  });

/** Nothing of the answer is used but its status. */
const LARGEST_ANSWER_BYTES = 64 * 1024;

export const httpPut: BundlePublisherPlugin<typeof configSchema> = {
  configSchema,
  create: (config) => ({
    name: 'http_put',
    async publish(bundle, signal) {
      const [token, cert, key, ca] = await Promise.all([
        readOptional('bearer_token_file', config.bearer_token_file),
        readOptional('client_cert_path', config.client_cert_path),
        readOptional('client_key_path', config.client_key_path),
        readOptional('trusted_roots_path', config.trusted_roots_path),
      ]);
      const { status } = await sendRequest({
        method: 'PUT',
        url: config.url,
        headers: {
          'content-type': contentTypeOf(config.format),
          ...(token === undefined ? {} : { authorization: `Bearer ${bearerToken(token)}` }),
        },
        body: formatPublishedBundle(bundle, config.format),
        limitMs: config.timeout * 1000,
        largestAnswerBytes: LARGEST_ANSWER_BYTES,
        tls: { ca, cert, key },
        signal,
      });
      // A redirect would send our credentials where somebody else says.
      if (status >= 200 && status < 300) return;
      const detail = status >= 300 && status < 400 ? '; redirects are not followed' : '';
      throw new BonafideError(
        'unavailable',
        `${config.url.origin} answered the PUT with status ${status}${detail}`,
      );
    },
  }),
};

async function readOptional(field: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new BonafideError('unavailable', `cannot read ${field} ${file}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** RFC 6750 section 2.1. */
function bearerToken(text: string): string {
  const token = text.trim();
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token;
  throw new BonafideError('unavailable', 'the bearer_token_file holds no bearer token');
}

function parseTarget(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:') {
    throw invalidArgument(
      `${JSON.stringify(text)} is no https URL; expected for example https://bundles.example/own`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw invalidArgument('the URL carries a password; use bearer_token_file or a client certificate');
  }
  return url;
}
