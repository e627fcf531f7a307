/** The life of the authorities we sign with, of every kind: made, published, put to use, retired; the same after a restart. */
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TellOwnAct } from '../audit/own-acts.js';
import type {
  AuthorityKind,
  AuthorityRecord,
  TokenAuthorityRecord,
  X509AuthorityRecord,
} from '../store/authority-record.js';
import type { CommittedRevision, Store } from '../store/store.js';
import type { ActiveAuthority } from './active-authority.js';
import type { AuthorityByHand } from './authority-by-hand.js';
import type { KeyManager } from './key-manager.js';
import type { RotationProblem } from './rotation-loop.js';
import { rotatingKind, type RotatingKind } from './rotating-kind.js';
import { createTokenAuthorityMaker } from './token-authority-maker.js';
import type { TokenSigningAuthorities, TokenSigningAuthority } from './token-signing-authority.js';
import { UpstreamByHand } from './upstream-by-hand.js';
import { UpstreamFollower } from './upstream-follower.js';
import type { UpstreamAuthority } from './upstream/upstream-authority.js';
import { createX509AuthorityMaker } from './x509-authority-maker.js';
import type { SigningAuthorities, X509SigningAuthority } from './x509-signing-authority.js';

export interface AuthorityRotationOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly keyManager: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly keyTypes: Readonly<Record<AuthorityKind, KeyType>>;
  /** Life of an authority. */
  readonly ttlSeconds: number;
  readonly subject?: DistinguishedName | undefined;
  readonly upstream?: UpstreamAuthority | undefined;
  /** Hears of what is rotated in time. */
  readonly tell?: TellOwnAct | undefined;
  /** Hears of every authority that begins to sign. */
  readonly onActivated?: ((kind: AuthorityKind) => void) | undefined;
}

export type RotationListener = (active: X509SigningAuthority) => void;

export interface AuthorityProblem extends RotationProblem {
  readonly kind: AuthorityKind;
  /** Of the kind, as in `X.509 authority`. */
  readonly words: string;
  readonly signsUntil: Date | undefined;
}

/** An authority of this server, for those who watch. */
export interface AuthoritySlotView {
  readonly kind: AuthorityKind;
  readonly slot: AuthorityRecord['slot'];
  readonly notAfter: Date;
}

/** Where token authorities are found in the bundle. */
const TOKEN_LISTS = { jwt: 'jwtAuthorities', wit: 'witAuthorities' } as const;

export class AuthorityRotation implements SigningAuthorities, TokenSigningAuthorities {
  readonly #store: Store;
  readonly #trustDomain: TrustDomain;
  readonly #listeners = new Set<RotationListener>();
  readonly #x509: RotatingKind<X509AuthorityRecord>;
  readonly #jwt: RotatingKind<TokenAuthorityRecord>;
  readonly #wit: RotatingKind<TokenAuthorityRecord>;
  readonly #upstream: UpstreamByHand;
  readonly #follower: UpstreamFollower | undefined;
  /** The same object for as long as the same authority is active: what is made of it need not be made again. */
  #activeX509:
    { readonly of: ActiveAuthority<X509AuthorityRecord>; readonly signing: X509SigningAuthority } | undefined;

  constructor(options: AuthorityRotationOptions) {
    const { keyTypes, onActivated, upstream } = options;
    this.#store = options.store;
    this.#trustDomain = options.trustDomain;
    const x509 = createX509AuthorityMaker({
      ...options,
      keyType: keyTypes.x509,
      subject: options.subject,
      upstream,
    });
    const announce = (): void => {
      if (!this.#x509.slots.canSign()) return;
      for (const listener of this.#listeners) listener(this.activeX509());
    };
    const activated = (): void => {
      onActivated?.('x509');
      announce();
    };
    this.#x509 = rotatingKind(options, x509, activated, {
      isUnderUpstream: upstream !== undefined,
      onWithdrawal: announce,
    });
    const token = (kind: TokenAuthorityRecord['kind']): RotatingKind<TokenAuthorityRecord> =>
      rotatingKind(
        options,
        createTokenAuthorityMaker({ kind, keyType: keyTypes[kind], store: options.store, upstream }),
        () => onActivated?.(kind),
        {
          isUnderUpstream: false,
          onWithdrawal: () => undefined,
          isForeign: async (authorityId) => {
            const bundle = await options.store.bundles.get(options.trustDomain);
            return bundle?.[TOKEN_LISTS[kind]].some(({ keyId }) => keyId === authorityId) ?? false;
          },
        },
      );
    this.#jwt = token('jwt');
    this.#wit = token('wit');
    const { slots, loop } = this.#x509;
    const above = { ...options, slots, loop, onWithdrawal: announce };
    this.#upstream = new UpstreamByHand({ ...above, hasUpstream: upstream !== undefined });
    this.#follower = upstream && new UpstreamFollower({ ...above, upstream });
  }

  /**
   * Takes up where the last run left off, so that an authority of each kind is active when this resolves; then rotates until the signal
   * fires.
   * @throws BonafideError when the store or the key manager cannot be used.
   */
  async start(signal: AbortSignal): Promise<void> {
    for (const { loop } of [this.#x509, this.#jwt, this.#wit]) await loop.start(signal);
    void this.#follower?.run(signal);
    const stopHearing = this.#store.subscribe((committed) => {
      this.#hear(committed);
    });
    signal.addEventListener('abort', stopHearing, { once: true });
  }

  /** Servers that share our database write records and bundle too. Must not keep the writer waiting, who may be one of us. */
  #hear({ revision, changes }: CommittedRevision): void {
    const isReload = changes.some(({ kind }) => kind === 'everything');
    const concernsUs = changes.some(
      (change) =>
        change.kind === 'authority' || (change.kind === 'bundle' && change.trustDomain === this.#trustDomain),
    );
    if (!isReload && !concernsUs) return;
    for (const { slots, loop } of [this.#x509, this.#jwt, this.#wit]) {
      if (isReload) slots.outdateEverything(revision);
      else slots.outdate(revision);
      loop.rotate().catch(() => undefined); // the timer will try again and tell
    }
  }

  /** Of X.509 authorities, for operators. */
  get x509(): AuthorityByHand<X509AuthorityRecord> {
    return this.#x509.byHand;
  }

  get jwt(): AuthorityByHand<TokenAuthorityRecord> {
    return this.#jwt.byHand;
  }

  get wit(): AuthorityByHand<TokenAuthorityRecord> {
    return this.#wit.byHand;
  }

  get upstream(): UpstreamByHand {
    return this.#upstream;
  }

  activeX509(): X509SigningAuthority {
    const active = this.#x509.slots.active();
    if (this.#activeX509?.of !== active) this.#activeX509 = { of: active, signing: x509Signing(active) };
    return this.#activeX509.signing;
  }

  activeJwt(): TokenSigningAuthority {
    return tokenSigning(this.#jwt.slots.active());
  }

  activeWit(): TokenSigningAuthority {
    return tokenSigning(this.#wit.slots.active());
  }

  /** Called after each change of the active X.509 authority and after one was withdrawn, in the order of subscription. @returns the way to stop. */
  onRotation(listener: RotationListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What cannot be rotated although it is due, and how long what signs meanwhile is good for. */
  problems(): readonly AuthorityProblem[] {
    return this.#kinds().flatMap(({ kind, slots, loop, words }) => {
      const { problem } = loop;
      return problem === undefined
        ? []
        : [{ ...problem, kind, words, signsUntil: slots.in('active')[0]?.notAfter }];
    });
  }

  slots(): readonly AuthoritySlotView[] {
    return this.#kinds().flatMap(({ kind, slots }) =>
      (['active', 'prepared', 'old'] as const).flatMap((slot) =>
        slots.in(slot).map(({ notAfter }) => ({ kind, slot, notAfter })),
      ),
    );
  }

  #kinds(): readonly (RotatingKind<AuthorityRecord> & { readonly kind: AuthorityKind })[] {
    return [
      { ...this.#x509, kind: 'x509' },
      { ...this.#jwt, kind: 'jwt' },
      { ...this.#wit, kind: 'wit' },
    ];
  }

  canSignX509(): boolean {
    return this.#x509.slots.canSign();
  }

  /** Does now what is due by now. The timers call it; tests with their own clock may. */
  async rotate(): Promise<void> {
    for (const { loop } of [this.#x509, this.#jwt, this.#wit]) await loop.rotate();
  }
}

function x509Signing({ record, signer }: ActiveAuthority<X509AuthorityRecord>): X509SigningAuthority {
  const { authorityId, notAfter, certificateChain, upstreamAuthorityId } = record;
  const [certificate] = certificateChain;
  if (certificate === undefined) {
    throw new BonafideError('internal', `X.509 authority ${authorityId} has no certificate`);
  }
  // What is sent after a leaf leads up to, but not including, what is in the bundle.
  const intermediates = upstreamAuthorityId === undefined ? [] : certificateChain;
  return { authorityId, certificate, intermediates, signer, notAfter };
}

function tokenSigning({ record, signer }: ActiveAuthority<TokenAuthorityRecord>): TokenSigningAuthority {
  return { keyId: record.authorityId, signer, notAfter: record.notAfter };
}
