/** What a bundle publisher is: somewhere outside of the trust domain that is told our bundle, for those who cannot ask the server. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { z } from 'zod';

export interface BundlePublisher {
  /** As in the configuration. */
  readonly name: string;
  /** Puts the bundle in the place of the one before. @throws BonafideError; it is tried again later. */
  publish(bundle: TrustBundle, signal: AbortSignal): Promise<void>;
}

export interface BundlePublisherPlugin<Schema extends z.ZodType> {
  readonly configSchema: Schema;
  readonly create: (config: z.output<Schema>) => BundlePublisher;
}
