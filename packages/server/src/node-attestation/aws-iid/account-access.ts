/** With which credentials the instances of an account are asked for: the server's own, or those of a role in that account. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { assumedCredentials, CachedCredentials } from './aws-credentials.js';
import type { AwsPartition } from './aws-iid-config.js';
import type { AwsApi, AwsCredentials } from './aws-request.js';

interface AccountAccessOptions {
  readonly api: AwsApi;
  readonly own: CachedCredentials;
  readonly partition: AwsPartition;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A document of any account makes one; the eldest are forgotten. */
const MOST_ROLES = 1000;

export class AccountAccess {
  readonly #options: AccountAccessOptions;
  /** By region and ARN. */
  readonly #roles = new Map<string, CachedCredentials>();

  constructor(options: AccountAccessOptions) {
    this.#options = options;
  }

  /** @param role the name of a role in the account; undefined: the server's own credentials. */
  credentials(accountId: string, region: string, role: string | undefined): Promise<AwsCredentials> {
    const { api, own, partition, clock, signal } = this.#options;
    if (role === undefined) return own.get(signal);
    const roleArn = `arn:${partition}:iam::${accountId}:role/${role}`;
    const key = `${region} ${roleArn}`;
    let assumed = this.#roles.get(key);
    if (assumed === undefined) {
      assumed = new CachedCredentials(assumedCredentials({ api, own, region, roleArn }), clock);
      this.#roles.set(key, assumed);
      const [eldest] = this.#roles.keys();
      if (this.#roles.size > MOST_ROLES && eldest !== undefined) this.#roles.delete(eldest);
    }
    return assumed.get(signal);
  }
}
