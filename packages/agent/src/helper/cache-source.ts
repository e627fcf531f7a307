/** Identities for helpers inside of the agent, straight from its cache: by SPIFFE ID, whatever the selectors of the entry. */
import { formatJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { PickedEntries } from '../svid-cache/picked-views.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { deliveredIdentity } from '../svid-store/cached-identity.js';
import { pickIdentity, type IdentityChoice } from './helper-entry.js';
import type { DeliveredToken, IdentitySource, IdentityUpdate } from './identity-source.js';

interface CacheSourceOptions {
  readonly cache: Pick<SvidCache, 'entries' | 'pick'>;
  readonly jwtSvids: { fetch(entry: RegistrationEntry, audience: readonly string[]): Promise<JwtSvid> };
  readonly choice: IdentityChoice;
}

export class CacheSource implements IdentitySource {
  readonly #options: CacheSourceOptions;

  constructor(options: CacheSourceOptions) {
    this.#options = options;
  }

  async *identities(signal: AbortSignal): AsyncGenerator<IdentityUpdate, undefined> {
    for await (const update of this.#updates(signal)) {
      if (update.entries.length === 0) {
        yield { kind: 'withdrawn' };
        continue;
      }
      const identities = update.identities.flatMap((identity) => deliveredIdentity(identity, update) ?? []);
      // One that has expired is not withdrawn: it may be renewed any moment.
      if (identities.length > 0) yield { kind: 'identities', identities };
    }
    return undefined;
  }

  async *jwtBundles(signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>, undefined> {
    for await (const { bundles, entries } of this.#updates(signal)) {
      if (entries.length === 0 || bundles.size === 0) continue;
      yield new Map(
        [...bundles]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, { jwtAuthorities }]) => [name, formatJwkSet(jwtAuthorities)]),
      );
    }
    return undefined;
  }

  async jwtSvid(audiences: readonly string[], choice: IdentityChoice): Promise<DeliveredToken> {
    const entry = pickIdentity(this.#options.cache.entries(), choice);
    if (entry === undefined) {
      throw new BonafideError(
        'not_found',
        `this agent has no entry of ${choice.spiffeId ?? 'that SPIFFE ID'}`,
      );
    }
    return this.#options.jwtSvids.fetch(entry, audiences);
  }

  /** The newest each time the reader asks; what came in between is passed over. */
  async *#updates(signal: AbortSignal): AsyncGenerator<PickedEntries, undefined> {
    const { cache, choice } = this.#options;
    let newest: PickedEntries | undefined;
    let wake: () => void = () => undefined;
    const subscription = cache.pick(
      (entry) => pickIdentity([entry], choice) !== undefined,
      (update) => {
        newest = update;
        wake();
      },
    );
    const onAbort = (): void => {
      wake();
    };
    signal.addEventListener('abort', onAbort);
    try {
      while (!signal.aborted) {
        const update = newest;
        newest = undefined;
        if (update !== undefined) yield update;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      subscription.close();
    }
    return undefined;
  }
}
