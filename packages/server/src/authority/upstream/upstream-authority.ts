/** Whoever stands above this server and signs its X.509 authorities: the face that every upstream plugin has. */
import type { TokenAuthority, X509Authority } from '@bonafide/shared/bundle/trust-bundle';

export interface X509AuthorityRequest {
  /** PKCS#10, DER, with the trust domain's ID as its URI name. */
  readonly csr: Buffer;
  /** What is wished for; the upstream authority decides. */
  readonly preferredTtlSeconds: number;
}

export interface MintedX509Authority {
  /** DER: the new CA certificate, then its intermediates, up to but without the trust anchor. */
  readonly certificateChain: readonly [Buffer, ...Buffer[]];
  /** The trust anchors of the upstream authority as they are now; they, and not the new CA, belong in the bundle. */
  readonly upstreamRoots: readonly X509Authority[];
}

/** What the upstream authority has us publish; it holds for as long as the upstream authority says so. */
export interface UpstreamContent {
  readonly x509Roots: readonly X509Authority[];
  /** Undefined: it knows nothing of token authorities. */
  readonly jwtAuthorities?: readonly TokenAuthority[] | undefined;
  readonly witAuthorities?: readonly TokenAuthority[] | undefined;
}

export interface UpstreamAuthority {
  /** The name of the plugin: `disk`, `spire`, `vault`. */
  readonly name: string;

  /** @throws BonafideError `unavailable` when it cannot be reached; another reason when it refuses. */
  mintX509Authority(request: X509AuthorityRequest, signal: AbortSignal): Promise<MintedX509Authority>;

  /** Publishes a key through the whole tree. Absent where the upstream authority has no bundle for tokens: then we publish it ourselves. */
  publishJwtAuthority?(authority: TokenAuthority, signal: AbortSignal): Promise<readonly TokenAuthority[]>;
  publishWitAuthority?(authority: TokenAuthority, signal: AbortSignal): Promise<readonly TokenAuthority[]>;

  /** Calls `listener` whenever what is to be published has changed, until the signal fires; what fails is logged and tried again. */
  follow(listener: (content: UpstreamContent) => Promise<void>, signal: AbortSignal): Promise<void>;
}
