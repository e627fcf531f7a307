/** The token with which the server asks Azure about machines of a tenant: of an application, or of the identity that the server's machine has. */
import { readFile } from 'node:fs/promises';
import { readAzureMetadata } from '@bonafide/shared/cloud/azure-metadata';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { parseUniqueJsonObject, type JsonObject } from '@bonafide/shared/jwt/unique-json';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';
import type { TenantConfig } from './azure-imds-config.js';

const RESOURCE = 'https://management.azure.com';
const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;
/** Had anew when so little is left. */
const REFRESH_BEFORE_MS = 5 * 60_000;

/** Where Azure is. */
export interface AzureWorld {
  /** Of Entra ID. */
  readonly login: URL;
  readonly management: URL;
  readonly metadata: URL;
  /** What SPIRE's default credential reads: AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** How the server proves itself to Entra ID. */
type Credential =
  | { readonly kind: 'secret'; readonly clientId: string; readonly secret: string }
  | { readonly kind: 'assertion'; readonly clientId: string; readonly file: string }
  | { readonly kind: 'managed_identity'; readonly clientId: string | undefined };

function credentialOf(config: TenantConfig, environment: AzureWorld['environment']): Credential {
  const { secret_auth: secret, token_auth: token } = config;
  if (secret !== undefined) return { kind: 'secret', clientId: secret.app_id, secret: secret.app_secret };
  if (token !== undefined) return { kind: 'assertion', clientId: token.app_id, file: token.token_path };
  const clientId = environment['AZURE_CLIENT_ID'];
  const clientSecret = environment['AZURE_CLIENT_SECRET'];
  const file = environment['AZURE_FEDERATED_TOKEN_FILE'];
  if (clientId !== undefined && clientSecret !== undefined)
    return { kind: 'secret', clientId, secret: clientSecret };
  if (clientId !== undefined && file !== undefined) return { kind: 'assertion', clientId, file };
  return { kind: 'managed_identity', clientId };
}

const tokenSchema = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]{1,16384}$/),
  expires_in: z.coerce
    .number()
    .positive()
    .max(7 * 86_400),
});

interface AzureTokenOptions {
  readonly config: TenantConfig;
  readonly world: AzureWorld;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class AzureToken {
  readonly #options: AzureTokenOptions;
  readonly #credential: Credential;
  #held: { readonly token: string; readonly refreshAtMs: number } | undefined;
  #loading: Promise<string> | undefined;

  constructor(options: AzureTokenOptions) {
    this.#options = options;
    this.#credential = credentialOf(options.config, options.world.environment);
  }

  /** @throws BonafideError `unavailable` when nobody answers, `permission_denied` when Entra ID refuses. */
  get(tenantId: string): Promise<string> {
    const held = this.#held;
    if (held !== undefined && this.#options.clock.monotonicMs() < held.refreshAtMs)
      return Promise.resolve(held.token);
    this.#loading ??= this.#load(tenantId).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(tenantId: string): Promise<string> {
    const startedMs = this.#options.clock.monotonicMs();
    const parsed = tokenSchema.safeParse(await this.#ask(tenantId));
    if (!parsed.success) throw new BonafideError('unavailable', 'Azure answered without an access token');
    const { access_token: token, expires_in: seconds } = parsed.data;
    this.#held = { token, refreshAtMs: startedMs + seconds * 1000 - REFRESH_BEFORE_MS };
    return token;
  }

  async #ask(tenantId: string): Promise<JsonObject> {
    const { world, signal } = this.#options;
    const credential = this.#credential;
    if (credential.kind === 'managed_identity') {
      const query = new URLSearchParams({ 'api-version': '2018-02-01', resource: `${RESOURCE}/` });
      if (credential.clientId !== undefined) query.set('client_id', credential.clientId);
      return readAzureMetadata(world.metadata, `/metadata/identity/oauth2/token?${query.toString()}`, signal);
    }
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: credential.clientId,
      scope: `${RESOURCE}/.default`,
    });
    if (credential.kind === 'secret') form.set('client_secret', credential.secret);
    else {
      form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
      form.set('client_assertion', await readAssertion(credential.file));
    }
    const { status, bytes } = await sendRequest({
      method: 'POST',
      url: new URL(`/${tenantId}/oauth2/v2.0/token`, world.login),
      allowsPlainHttp: world.login.protocol === 'http:',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      limitMs: LIMIT_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal,
    });
    if (status !== 200) {
      throw new BonafideError(
        status >= 500 || status === 429 ? 'unavailable' : 'permission_denied',
        `Entra ID gave no token for tenant ${tenantId} (status ${status}); check the application and its secret or token`,
      );
    }
    return parseUniqueJsonObject(bytes, 'answer of Entra ID');
  }
}

async function readAssertion(file: string): Promise<string> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    parseCompactJws(text);
    return text;
  } catch (cause) {
    throw new BonafideError(
      'failed_precondition',
      `cannot use the token file ${file}: ${errorMessage(cause)}`,
      {
        cause,
      },
    );
  }
}
