/** The agent's health over HTTP, in SPIRE's words. */
import type { HealthConfig } from '@bonafide/shared/http/health-config';
import { HealthListener, type HealthAnswer } from '@bonafide/shared/http/health-listener';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AgentHealth } from './agent-health.js';

export function createHealthListener(
  config: HealthConfig,
  { health, log }: { readonly health: Pick<AgentHealth, 'problem'>; readonly log: Logger },
): HealthListener {
  const answer = (problem: string | undefined): HealthAnswer => ({
    isWell: problem === undefined,
    body: { agent: problem === undefined ? {} : { make_new_x509_err: problem } },
  });
  return new HealthListener({
    config,
    ready: () => answer(health.problem()),
    live: () => answer(undefined),
    log,
  });
}
