/** A tenant whose machines may attest: its ID, had once by its domain, and how Azure is asked about its machines. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import { parseUniqueJsonObject } from '@bonafide/shared/jwt/unique-json';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { UUID, type TenantConfig } from './azure-imds-config.js';
import { AzureToken, type AzureWorld } from './azure-token.js';

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;

interface TenantOptions {
  readonly domain: string;
  readonly config: TenantConfig;
  readonly world: AzureWorld;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class Tenant {
  readonly config: TenantConfig;
  readonly #options: TenantOptions;
  readonly #token: AzureToken;
  #id: string | undefined;

  constructor(options: TenantOptions) {
    this.config = options.config;
    this.#options = options;
    this.#token = new AzureToken(options);
    // A tenant can be named by its ID, too.
    if (UUID.test(options.domain)) this.#id = options.domain;
  }

  allowsSubscription(subscriptionId: string): boolean {
    const { restrict_to_subscriptions: allowed } = this.config;
    return allowed.length === 0 || allowed.some((one) => one.toLowerCase() === subscriptionId.toLowerCase());
  }

  /** @throws BonafideError `unavailable` when Entra ID does not say. */
  async id(): Promise<string> {
    return (this.#id ??= await this.#lookUp());
  }

  async token(): Promise<string> {
    return this.#token.get(await this.id());
  }

  /** The OpenID configuration of the domain names its tenant as the issuer. */
  async #lookUp(): Promise<string> {
    const { domain, world, signal } = this.#options;
    const { status, bytes } = await sendRequest({
      method: 'GET',
      url: new URL(`/${domain}/.well-known/openid-configuration`, world.login),
      allowsPlainHttp: world.login.protocol === 'http:',
      limitMs: LIMIT_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal,
    });
    const issuer =
      status === 200 ? parseUniqueJsonObject(bytes, 'OpenID configuration')['issuer'] : undefined;
    const [, id = ''] = /^https:\/\/sts\.windows\.net\/([^/]+)\/$/.exec(String(issuer)) ?? [];
    if (!UUID.test(id)) {
      throw new BonafideError(
        'unavailable',
        `cannot find the ID of the tenant ${domain} at ${world.login.origin} (status ${status}); check the domain`,
      );
    }
    return id;
  }
}
