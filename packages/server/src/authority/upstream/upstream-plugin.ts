/** What makes an upstream authority of its configuration, and what the server lends it. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { z } from 'zod';
import type { UpstreamAuthority } from './upstream-authority.js';

export interface UpstreamAuthorityHost {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where SPIRE's plugins look for what their configuration leaves out. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface UpstreamAuthorityPlugin<Config> {
  readonly configSchema: z.ZodType<Config>;
  /** Reads files, but asks nobody yet. @throws BonafideError `invalid_argument` when the configuration cannot work. */
  create(config: Config, host: UpstreamAuthorityHost): Promise<UpstreamAuthority>;
}
