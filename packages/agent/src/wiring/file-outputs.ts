/** What the agent itself writes to disk for programs that only read files: its helpers, and the SVID stores. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AgentConfig } from '../configuration/agent-config.js';
import { ownershipOf } from '../helper/account-number.js';
import { CacheSource } from '../helper/cache-source.js';
import { Helper } from '../helper/helper.js';
import { RunningHelpers } from '../helper/running-helpers.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { StoredSvids } from '../svid-store/stored-svids.js';
import { createSvidStores } from '../svid-store/svid-stores.js';
import type { FileOutputMetrics } from '../telemetry/file-output-metrics.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';

interface FileOutputsOptions {
  readonly config: AgentConfig;
  readonly live: LiveConfig<AgentConfig> | undefined;
  readonly cache: SvidCache;
  readonly jwtSvids: JwtSvids;
  readonly metrics: { readonly files: FileOutputMetrics };
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface FileOutputs {
  /** Until the signal fires; to be called once the agent knows its entries. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes everything away; what cannot be removed is in the log. */
  clear(): Promise<void>;
}

/** @throws BonafideError when a folder cannot be used, before the agent spends a join token. */
export async function createFileOutputs(options: FileOutputsOptions): Promise<FileOutputs> {
  const { cache, clock, config, jwtSvids, live, log, metrics, random } = options;
  const parts = { random, clock, log };
  const helpers = new RunningHelpers({
    create: (entry, ownership) => {
      const source = new CacheSource({ cache, jwtSvids, choice: entry.choice });
      return new Helper({ entry, source, ownership, onAttempt: metrics.files.helper, ...parts });
    },
    ownershipOf,
    log,
  });
  const place = await helpers.prepare(config.agent.helpers);
  place();
  live?.add({
    name: 'helpers',
    keys: ['agent.helpers'],
    prepare: ({ agent }) => helpers.prepare(agent.helpers),
  });
  const stores = await createSvidStores(config.plugins.SVIDStore, ownershipOf);
  const stored = new StoredSvids({ cache, stores, onAttempt: metrics.files.store, ...parts });
  return {
    run: async (signal) => {
      await Promise.all([stored.run(signal), helpers.run(signal)]);
    },
    clear: async () => {
      await stored.clear().catch((error: unknown) => {
        log.error(`files of an identity are left, remove them by hand: ${errorMessage(error)}`);
      });
      await helpers.clear();
    },
  };
}
