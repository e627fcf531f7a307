/** The upstream authorities that are built in, by the names that SPIRE gave them. */
import { z } from 'zod';
import { disk } from './disk/disk.js';
import { spire } from './spire/spire.js';
import type { UpstreamAuthority } from './upstream-authority.js';
import type { UpstreamAuthorityHost } from './upstream-plugin.js';
import { vault } from './vault/vault.js';

/** Whatever its configuration is; each is created below with its own. */
interface AnyPlugin {
  readonly configSchema: z.ZodType;
  readonly create: (config: never, host: UpstreamAuthorityHost) => Promise<UpstreamAuthority>;
}

const UPSTREAM_AUTHORITIES = { disk, spire, vault } as const satisfies Record<string, AnyPlugin>;

export const upstreamAuthoritySchema = z
  .strictObject({
    disk: UPSTREAM_AUTHORITIES.disk.configSchema.optional(),
    spire: UPSTREAM_AUTHORITIES.spire.configSchema.optional(),
    vault: UPSTREAM_AUTHORITIES.vault.configSchema.optional(),
  })
  .refine((config) => Object.values(config).filter((plugin) => plugin !== undefined).length <= 1, {
    message: 'names several upstream authorities; expected one of disk, spire and vault',
  });

export type UpstreamAuthorityConfig = z.output<typeof upstreamAuthoritySchema>;

/**
 * The one that the configuration names; undefined: the server is its own root.
 * @throws BonafideError when its files or its configuration cannot be used.
 */
export async function createUpstreamAuthority(
  config: UpstreamAuthorityConfig,
  host: UpstreamAuthorityHost,
): Promise<UpstreamAuthority | undefined> {
  const plugins = UPSTREAM_AUTHORITIES;
  if (config.disk !== undefined) return plugins.disk.create(config.disk, host);
  if (config.spire !== undefined) return plugins.spire.create(config.spire, host);
  if (config.vault !== undefined) return plugins.vault.create(config.vault, host);
  return undefined;
}
