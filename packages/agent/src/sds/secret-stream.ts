/** What both kinds of secret streams share: the caller's grants, its Envoy's form of bundles, how much it may ask, and what the log is told. */
import { randomBytes } from 'node:crypto';
import { invalidArgument, type BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import type { Subscription, WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { ConversationFeed } from '../workload-api/conversation.js';
import type { Caller } from '../workload-api/workload-calls.js';
import { loggedSelectors, type SelectorLogging } from '../workload-attestation/shown-selectors.js';
import { bundleFormFor, type BundleForm } from './bundle-form.js';
import type { SecretsRequest } from './discovery-request.js';
import type { GrantedSecrets, SecretGrants } from './granted-secrets.js';
import { RequestAllowance } from './request-allowance.js';
import type { SdsConfig } from './sds-config.js';
import type { Secret } from './secret.js';

export interface SecretSources {
  readonly identities: Pick<WorkloadIdentities, 'subscribe'>;
  readonly config: SdsConfig;
  readonly grants: SecretGrants;
  readonly refusals: RefusalLog<'unauthorized_secrets' | 'rejected_secrets'>;
  readonly selectorLogging: () => SelectorLogging;
  readonly clock: Clock;
}

type MissingSecretsLog = Pick<SecretSources, 'refusals' | 'selectorLogging'>;

export class SecretStream {
  readonly #sources: SecretSources;
  readonly #caller: Caller;
  readonly #allowance: RequestAllowance;
  readonly #subscription: Subscription;
  #form: BundleForm;
  #granted: GrantedSecrets | undefined;

  constructor(sources: SecretSources, caller: Caller, feed: ConversationFeed) {
    this.#sources = sources;
    this.#caller = caller;
    this.#allowance = new RequestAllowance(sources.clock);
    this.#form = this.#formFor(undefined);
    this.#subscription = sources.identities.subscribe(caller.selectors, (update) => {
      this.#granted = sources.grants.of(update);
      feed.changed();
    });
  }

  /** Undefined until all that the caller is entitled to is there. */
  get granted(): GrantedSecrets | undefined {
    return this.#granted;
  }

  get form(): BundleForm {
    return this.#form;
  }

  /** To be called with each request. @throws BonafideError `resource_exhausted`. */
  count(): void {
    this.#allowance.take();
  }

  /** To be called with each request that counts. */
  note({ node, rejection }: Pick<SecretsRequest, 'node' | 'rejection'>): void {
    if (node !== undefined) this.#form = this.#formFor(node);
    if (rejection !== undefined) {
      this.#sources.refusals.warn(
        'rejected_secrets',
        { rejection, ...this.#caller.credentials },
        'Envoy did not take the secrets it was sent, and keeps those it had',
      );
    }
  }

  /** Of a message that is about to be sent. Nobody can guess it, so an answer to another stream is not taken for one to this. */
  nextNonce(): string {
    this.#allowance.give();
    return randomBytes(8).toString('hex');
  }

  close(): void {
    this.#subscription.close();
  }

  #formFor(node: SecretsRequest['node']): BundleForm {
    return bundleFormFor(node, this.#sources.config.disable_spiffe_cert_validation);
  }
}

/**
 * All that is asked for; without names, all there is.
 * @throws BonafideError `invalid_argument` when the caller may not have one of them, as SPIRE has it; the log tells why.
 */
export function requestedSecrets(
  names: ReadonlySet<string>,
  { caller, form, granted }: { caller: Caller; form: BundleForm; granted: GrantedSecrets },
  sources: MissingSecretsLog,
): readonly Secret[] {
  if (names.size === 0) return granted.all(form);
  const found = [...names].map((name) => [name, granted.find(name, form)] as const);
  const missing = found.flatMap(([name, secret]) => (secret === undefined ? [name] : []));
  if (missing.length > 0) throw refuse(missing, caller, sources);
  return found.flatMap(([, secret]) => secret ?? []);
}

export function warnOfMissing(
  names: readonly string[],
  caller: Caller,
  { refusals, selectorLogging }: MissingSecretsLog,
): void {
  const fields = { names: names.slice(0, 10), ...caller.credentials };
  const selectors = loggedSelectors(caller.selectors, selectorLogging());
  refusals.warn(
    'unauthorized_secrets',
    { ...fields, ...(selectors === undefined ? {} : { selectors }) },
    'Envoy asks for secrets that no entry grants it',
  );
}

function refuse(names: readonly string[], caller: Caller, sources: MissingSecretsLog): BonafideError {
  warnOfMissing(names, caller, sources);
  const list = names.slice(0, 10).map((name) => JSON.stringify(name));
  return invalidArgument(
    `workload is not authorized for the requested identities ${list.join(', ')}; expected names of its own SVIDs and bundles`,
  );
}
