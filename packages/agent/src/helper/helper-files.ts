/** What is to be in the files of one helper: the newest of each part that has come. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { pemTexts } from '../svid-store/delivered-identity.js';
import type { FileToWrite } from '../svid-store/write-new-file.js';
import { choiceText, pickIdentity, type HelperEntry } from './helper-entry.js';
import type { IdentityUpdate } from './identity-source.js';

export class HelperFiles {
  readonly #entry: HelperEntry;
  readonly #clock: Clock;
  readonly #files = new Map<string, FileToWrite>();
  #notAfter: Date | undefined;
  #spiffeId: string | undefined;
  #isWithdrawn = false;

  constructor(entry: HelperEntry, clock: Clock) {
    this.#entry = entry;
    this.#clock = clock;
  }

  /** Of every file there will be. */
  get names(): readonly string[] {
    const { jwtBundleFileName, jwtSvids, x509 } = this.#entry;
    return [
      ...(x509 === undefined ? [] : [x509.certificate, x509.key, x509.bundle]),
      ...jwtSvids.map(({ fileName }) => fileName),
      ...(jwtBundleFileName === undefined ? [] : [jwtBundleFileName]),
    ];
  }

  get present(): readonly FileToWrite[] {
    return [...this.#files.values()];
  }

  get isComplete(): boolean {
    return this.names.every((name) => this.#files.has(name));
  }

  get isExpired(): boolean {
    return this.#notAfter !== undefined && this.#notAfter <= this.#clock.now();
  }

  get isWithdrawn(): boolean {
    return this.#isWithdrawn;
  }

  /** For the log. */
  get described(): { readonly spiffeId?: string; readonly expiresAt?: string } {
    return this.#spiffeId === undefined || this.#notAfter === undefined
      ? {}
      : { spiffeId: this.#spiffeId, expiresAt: this.#notAfter.toISOString() };
  }

  /** @throws BonafideError `not_found` when none of them is the one that is wanted. */
  takeIdentities(update: IdentityUpdate): void {
    this.#isWithdrawn = update.kind === 'withdrawn';
    if (update.kind === 'withdrawn') {
      this.#files.clear();
      return;
    }
    const { addsIntermediatesToBundle, choice, includesFederatedDomains, modes, omitsExpired, x509 } =
      this.#entry;
    const identity = pickIdentity(update.identities, choice);
    if (x509 === undefined) return;
    if (identity === undefined) {
      const given = update.identities.map(
        ({ spiffeId, hint }) => `${spiffeId}${hint === undefined ? '' : ` (${hint})`}`,
      );
      throw new BonafideError(
        'not_found',
        `there is no ${choiceText(choice).replace(/^an /, '')} among those given to this process: ${given.join(', ')}`,
      );
    }
    const texts = pemTexts(identity, {
      addsIntermediatesToBundle,
      includesFederatedDomains,
      omitsExpiredAt: omitsExpired ? this.#clock.now() : undefined,
    });
    this.#put(x509.certificate, texts.certificateChain, modes.certificate);
    this.#put(x509.key, texts.privateKey, modes.key);
    this.#put(x509.bundle, texts.bundle, modes.certificate);
    this.#notAfter = identity.notAfter;
    this.#spiffeId = identity.spiffeId;
  }

  takeToken(fileName: string, token: string): void {
    this.#put(fileName, token, this.#entry.modes.jwtSvid);
  }

  /** In spiffe-helper's form: the JWK Set of each trust domain in base64. */
  takeJwtBundles(bundles: ReadonlyMap<string, string>): void {
    const { jwtBundleFileName, modes } = this.#entry;
    if (jwtBundleFileName === undefined) return;
    const encoded = Object.fromEntries(
      [...bundles].map(([name, jwks]) => [name, Buffer.from(jwks).toString('base64')]),
    );
    this.#put(jwtBundleFileName, JSON.stringify(encoded), modes.jwtBundle);
  }

  #put(name: string, content: string, mode: number): void {
    this.#files.set(name, { name, content, mode });
  }
}
