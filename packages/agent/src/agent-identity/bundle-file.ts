/** The trust domain's bundle on disk, by which the server is verified after a restart; it follows the server's rotations. */
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import {
  readFileIfExists,
  removeUnfinishedWrites,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export class BundleFile {
  readonly path: string;
  readonly #trustDomain: TrustDomain;
  readonly #log: Logger;

  constructor(options: { readonly path: string; readonly trustDomain: TrustDomain; readonly log: Logger }) {
    this.path = options.path;
    this.#trustDomain = options.trustDomain;
    this.#log = options.log;
  }

  /** Undefined when there is none, or it is damaged, which is logged: the agent then bootstraps anew. */
  async load(): Promise<TrustBundle | undefined> {
    await removeUnfinishedWrites(this.path);
    const bytes = await readFileIfExists(this.path);
    if (bytes === undefined) return undefined;
    try {
      const bundle = parseBundleDocument(this.#trustDomain, bytes.toString('utf8'));
      if (bundle.x509Authorities.length > 0) return bundle;
      this.#log.warn({ path: this.path }, 'ignoring the stored trust bundle, which has no authority');
    } catch (error) {
      this.#log.warn(
        { path: this.path },
        `ignoring the stored trust bundle, which cannot be read: ${errorMessage(error)}`,
      );
    }
    return undefined;
  }

  async save(bundle: TrustBundle): Promise<void> {
    await writeFileAtomic(this.path, formatBundleDocument(bundle));
  }
}
