/**
 * JWT-SVIDs for the callers of the Workload API (section 6): kept in memory by entry and audience, each asked for once however many
 * want it. They are bearer tokens, so none is ever written to disk.
 */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { retryPauseMs } from '../agent-identity/retry-pause.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { JwtSvidSigner } from './jwt-svid-signer.js';
import { isTrustedKey, verifyOnceKeyIsKnown } from './token-authorities.js';
import { TokenLife } from './token-life.js';

interface JwtSvidsOptions {
  /** Says what is authorized now, and which keys are trusted. */
  readonly cache: Pick<SvidCache, 'bundle' | 'entry'>;
  readonly signer: JwtSvidSigner;
  /** How many are kept; the one that was used longest ago makes room. */
  readonly maximumKept: number;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends calls under way. */
  readonly signal: AbortSignal;
}

interface Kept {
  readonly entry: RegistrationEntry;
  readonly svid: JwtSvid;
  readonly life: TokenLife;
}

interface Flight {
  readonly entry: RegistrationEntry;
  readonly svid: Promise<JwtSvid>;
}

/** How long a caller waits for a newer one when there is one that will do. */
const PATIENCE_MS = 2_000;
const RETRY = { initialMs: 500, maximumMs: 10_000 };

export class JwtSvids {
  readonly #options: JwtSvidsOptions;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();
  readonly #flights = new Map<string, Flight>();
  readonly #retry: Backoff;
  /** Monotonic: until then nothing is asked for that is only due. */
  #restsUntilMs = 0;

  constructor(options: JwtSvidsOptions) {
    this.#options = options;
    this.#retry = new Backoff({ ...RETRY, random: options.random });
  }

  /** How many are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** By entry: until when what is kept for it is handed out, the first of several. */
  usableUntil(): ReadonlyMap<string, Date> {
    const ends = new Map<string, Date>();
    for (const { entry, life } of this.#kept.values()) {
      const known = ends.get(entry.id);
      if (known === undefined || life.usableUntil < known) ends.set(entry.id, life.usableUntil);
    }
    return ends;
  }

  /**
   * A verified JWT-SVID for the entry with exactly this audience, of which at least a quarter of its life is left.
   * @param entry as the cache has it.
   * @param audience at least one; order and repeats make no difference.
   * @throws BonafideError as the server answered; `unavailable` when it cannot be reached; `internal` for a token that does not verify.
   */
  async fetch(entry: RegistrationEntry, audience: readonly string[]): Promise<JwtSvid> {
    const names = [...new Set(audience)];
    const key = JSON.stringify([entry.id, ...names.toSorted()]);
    const kept = this.#find(key, entry);
    if (kept?.life.isUsable !== true) return this.#ask(key, entry, names);
    if (!kept.life.isDue || this.#options.clock.monotonicMs() < this.#restsUntilMs) return kept.svid;
    try {
      const newer = await this.#within(PATIENCE_MS, this.#ask(key, entry, names));
      if (newer !== undefined) return newer;
    } catch (error) {
      if (isRefusal(error) || !this.#isCurrent(kept)) throw error;
    }
    // Its key may have been tainted meanwhile, or its entry taken away.
    return this.#isCurrent(kept) ? kept.svid : this.#ask(key, entry, names);
  }

  /** To be called when entries or keys have changed: forgets what may not be handed out any more. */
  review(): void {
    const withdrawn: JwtSvid[] = [];
    for (const [key, kept] of this.#kept) {
      if (this.#isCurrent(kept)) continue;
      this.#kept.delete(key);
      if (this.#options.cache.entry(kept.entry.id) === kept.entry) withdrawn.push(kept.svid);
    }
    if (withdrawn.length === 0) return;
    this.#options.log.info(
      {
        count_jwt_svids: withdrawn.length,
        jwt_authority_key_ids: [...new Set(withdrawn.map(({ keyId }) => keyId))].join(','),
      },
      'JWT-SVIDs were removed from the JWT cache because they were issued by a tainted authority',
    );
  }

  #find(key: string, entry: RegistrationEntry): Kept | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (kept.entry !== entry || !this.#isCurrent(kept)) return undefined;
    this.#kept.set(key, kept);
    return kept;
  }

  /** The cache never changes an entry in place: the same object is the same content. */
  #isCurrent({ entry, svid }: Kept): boolean {
    return (
      this.#options.cache.entry(entry.id) === entry && isTrustedKey(svid.keyId, this.#authorities(entry))
    );
  }

  #ask(key: string, entry: RegistrationEntry, audience: readonly string[]): Promise<JwtSvid> {
    const present = this.#flights.get(key);
    if (present?.entry === entry) return present.svid;
    const svid = this.#obtain(key, entry, audience).finally(() => {
      if (this.#flights.get(key)?.svid === svid) this.#flights.delete(key);
    });
    this.#flights.set(key, { entry, svid });
    return svid;
  }

  async #obtain(key: string, entry: RegistrationEntry, audience: readonly string[]): Promise<JwtSvid> {
    const { clock, log, maximumKept, random, signal, signer } = this.#options;
    try {
      const token = await signer.sign({ entryId: entry.id, audience }, signal);
      const svid = await this.#verified(token, entry, audience);
      this.#retry.reset();
      this.#restsUntilMs = 0;
      const kept = { entry, svid, life: new TokenLife(svid, clock) };
      this.#kept.delete(key);
      if (this.#isCurrent(kept)) this.#kept.set(key, kept);
      for (const oldest of this.#kept.keys()) {
        if (this.#kept.size <= maximumKept) break;
        this.#kept.delete(oldest);
      }
      return svid;
    } catch (error) {
      const fields = { entryId: entry.id, spiffeId: entry.spiffeId, audience };
      log.warn(fields, `no JWT-SVID for an entry: ${errorMessage(error)}`);
      if (isRefusal(error)) {
        this.#kept.delete(key);
      } else {
        const pauseMs = retryPauseMs(this.#retry.nextDelayMs(), error, random);
        this.#restsUntilMs = clock.monotonicMs() + pauseMs;
      }
      throw error;
    }
  }

  /** Nobody is handed what its receiver would refuse, or what is good for more than was asked. */
  async #verified(token: string, entry: RegistrationEntry, audience: readonly string[]): Promise<JwtSvid> {
    const { cache, clock, signal } = this.#options;
    const verified = await verifyOnceKeyIsKnown(
      () =>
        verifyJwtSvid({
          token,
          audience: audience[0] ?? '',
          bundle: (trustDomain) => cache.bundle(trustDomain),
          now: clock.now(),
        }),
      { token, authorities: () => this.#authorities(entry), clock, signal },
    );
    if (verified.spiffeId !== entry.spiffeId) {
      throw new BonafideError(
        'internal',
        `the server issued ${verified.spiffeId} for an entry of ${entry.spiffeId}`,
      );
    }
    if (!isSameSet(verified.audience, audience)) {
      throw new BonafideError('internal', 'the server issued a JWT-SVID for another audience');
    }
    const { spiffeId, expiresAt, keyId, issuedAt = clock.now() } = verified;
    if (expiresAt <= clock.now()) {
      const message = `the JWT-SVID has expired already, at ${expiresAt.toISOString()}; compare the clocks of this node and the server`;
      throw new BonafideError('internal', message);
    }
    return { spiffeId, token, audience, issuedAt, expiresAt, keyId, hint: entry.hint };
  }

  #authorities({ spiffeId }: RegistrationEntry): readonly TokenAuthority[] {
    return this.#options.cache.bundle(trustDomainOf(spiffeId))?.jwtAuthorities ?? [];
  }

  /** Undefined when it takes longer. */
  #within<Value>(limitMs: number, work: Promise<Value>): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.schedule(limitMs, () => {
        resolve(undefined);
      });
      void work.then(resolve, reject).finally(() => {
        timer.cancel();
      });
    });
  }
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const names = new Set(a);
  return names.size === new Set(b).size && b.every((name) => names.has(name));
}

/** The server has decided: what is kept may not be handed out in its place. */
function isRefusal(error: unknown): boolean {
  return hasReason(
    error,
    'agent_banned',
    'agent_expired',
    'agent_not_active',
    'agent_not_attested',
    'invalid_argument',
    'not_found',
    'permission_denied',
  );
}
