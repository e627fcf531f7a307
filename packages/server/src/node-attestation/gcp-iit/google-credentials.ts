/** Access tokens for Google's APIs: of a service account whose key is in a file (RFC 7523), or of the one that the instance of this server runs as. */
import { readFile } from 'node:fs/promises';
import { GOOGLE_METADATA_ENDPOINT, readGoogleMetadata } from '@bonafide/shared/cloud/google-metadata';
import { signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { parsePrivateKeyPem } from '@bonafide/shared/crypto/private-key-pem';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest, type HttpTls } from '@bonafide/shared/http/send-request';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { parseUniqueJsonText } from '@bonafide/shared/jwt/unique-json';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';

const SCOPE = 'https://www.googleapis.com/auth/compute.readonly';
const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;
const ASSERTION_SECONDS = 600;
/** Had anew when so little is left. */
const REFRESH_BEFORE_MS = 60_000;

const serviceAccountSchema = z.object({
  type: z.literal('service_account'),
  client_email: z.string().min(1),
  private_key: z.string().min(1),
  private_key_id: z.string().optional(),
  token_uri: z.url({ protocol: /^https$/ }),
});

const answerSchema = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]{1,8192}$/),
  expires_in: z.number().positive().max(86_400),
});

export interface GoogleCredentialsOptions {
  /** A service account's key, JSON; read anew for every token. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly tls?: HttpTls | undefined;
  readonly metadataEndpoint?: URL | undefined;
}

export class GoogleCredentials {
  readonly #options: GoogleCredentialsOptions;
  #held: { readonly token: string; readonly endsAtMs: number } | undefined;
  #asking: Promise<string> | undefined;

  constructor(options: GoogleCredentialsOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `unavailable`, or `failed_precondition` naming the file. */
  accessToken(): Promise<string> {
    const held = this.#held;
    if (held !== undefined && this.#options.clock.monotonicMs() < held.endsAtMs - REFRESH_BEFORE_MS) {
      return Promise.resolve(held.token);
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<string> {
    const { file, clock, signal, metadataEndpoint = GOOGLE_METADATA_ENDPOINT } = this.#options;
    const askedAtMs = clock.monotonicMs();
    const text =
      file === undefined
        ? await readGoogleMetadata(metadataEndpoint, 'instance/service-accounts/default/token', signal)
        : await this.#exchange(await readServiceAccount(file));
    const answer = answerSchema.safeParse(parseUniqueJsonText(text, 'answer of Google'));
    if (!answer.success) throw new BonafideError('unavailable', 'Google answered without an access token');
    const { access_token: token, expires_in: seconds } = answer.data;
    this.#held = { token, endsAtMs: askedAtMs + seconds * 1000 };
    return token;
  }

  async #exchange(account: z.infer<typeof serviceAccountSchema>): Promise<string> {
    const { clock, signal, tls } = this.#options;
    const now = unixSeconds(clock.now());
    const key = parsePrivateKeyPem(account.private_key);
    const assertion = await encodeCompactJws(
      {
        alg: 'RS256',
        typ: 'JWT',
        ...(account.private_key_id === undefined ? {} : { kid: account.private_key_id }),
      },
      {
        iss: account.client_email,
        scope: SCOPE,
        aud: account.token_uri,
        iat: now,
        exp: now + ASSERTION_SECONDS,
      },
      (data) => signJwsAs('RS256', key, data),
    );
    const { status, body } = await sendRequest({
      ...{ method: 'POST', url: new URL(account.token_uri), signal, tls },
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion,
      }).toString(),
      ...{ limitMs: LIMIT_MS, largestAnswerBytes: LARGEST_ANSWER_BYTES },
    });
    if (status === 200) return body;
    throw new BonafideError(
      'unavailable',
      `Google gives ${account.client_email} no access token (status ${status})`,
    );
  }
}

async function readServiceAccount(file: string): Promise<z.infer<typeof serviceAccountSchema>> {
  try {
    const result = serviceAccountSchema.safeParse(parseUniqueJsonText(await readFile(file, 'utf8'), 'file'));
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    throw invalidArgument(`${issue?.path.join('.') ?? ''} is not as in the key of a service account`);
  } catch (cause) {
    const message = `the service account file ${file} cannot be used: ${errorMessage(cause)}`;
    throw new BonafideError('failed_precondition', message, { cause });
  }
}
