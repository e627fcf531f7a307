/** The server's health over HTTP: every check, since when, and what to do. */
import { HealthListener, type HealthAnswer } from '@bonafide/shared/http/health-listener';
import type { HealthConfig } from '@bonafide/shared/http/health-config';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { HealthState } from './health-state.js';

/** @returns undefined when the configuration asks for none. @throws BonafideError `unavailable` when it cannot be bound. */
export async function serveHealth(
  config: HealthConfig,
  { health, log }: { readonly health: Pick<HealthState, 'checks' | 'isServing'>; readonly log: Logger },
): Promise<{ readonly port: number; close(): void } | undefined> {
  if (!config.listener_enabled) return undefined;
  // It is ready while it signs: without its database it serves on, and says what waits.
  const answer = (isWell: boolean): HealthAnswer => ({
    isWell,
    body: { server: isWell ? {} : { get_bundle_err: 'the server does not serve' }, checks: health.checks() },
  });
  const listener = new HealthListener({
    config,
    ready: () => answer(health.isServing),
    live: () => answer(true),
    log,
  });
  const port = await listener.listen();
  return {
    port,
    close: () => {
      listener.close();
    },
  };
}
