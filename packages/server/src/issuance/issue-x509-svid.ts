/** Issues X.509-SVIDs one at a time with the authority that signs now, on the thread pool. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SigningAuthorities, X509SigningAuthority } from '../authority/x509-signing-authority.js';
import { SigningWindow } from './signing-window.js';
import { X509SvidWriter } from './write-x509-svid.js';
import {
  issuedX509Svid,
  type IssuedX509Svid,
  type X509SvidIssuer,
  type X509SvidRequest,
} from './x509-svid-request.js';

export interface X509SvidIssuanceOptions {
  readonly trustDomain: TrustDomain;
  readonly authorities: SigningAuthorities;
  readonly clock: Clock;
  readonly window?: SigningWindow;
}

export class X509SvidIssuance implements X509SvidIssuer {
  readonly #trustDomain: TrustDomain;
  readonly #authorities: SigningAuthorities;
  readonly #clock: Clock;
  readonly #window: SigningWindow;
  #writer: { readonly authority: X509SigningAuthority; readonly writer: X509SvidWriter } | undefined;

  constructor({ trustDomain, authorities, clock, window = new SigningWindow() }: X509SvidIssuanceOptions) {
    this.#trustDomain = trustDomain;
    this.#authorities = authorities;
    this.#clock = clock;
    this.#window = window;
  }

  issue(request: X509SvidRequest): Promise<IssuedX509Svid> {
    return this.#window.run(() => this.#issue(request));
  }

  async #issue(request: X509SvidRequest): Promise<IssuedX509Svid> {
    const authority = this.#authorities.activeX509();
    const written = await this.#writerOf(authority).write(request, this.#clock.now());
    return issuedX509Svid(request, written, authority);
  }

  #writerOf(authority: X509SigningAuthority): X509SvidWriter {
    if (this.#writer?.authority !== authority) {
      const writer = new X509SvidWriter({ trustDomain: this.#trustDomain, authority, place: 'thread_pool' });
      this.#writer = { authority, writer };
    }
    return this.#writer.writer;
  }
}
