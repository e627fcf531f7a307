/** How often the configuration of a running program was read anew, and whether it was taken over. */
import type { ReloadResult } from '../config/live-config.js';
import type { MetricRegistry } from './metric-registry.js';

/** @param live undefined: nothing is reloaded. */
export function countReloads(
  registry: MetricRegistry,
  live: { onResult(listener: (result: ReloadResult) => void): void } | undefined,
): void {
  const reloads = registry.counter(
    'bonafide_config_reloads_total',
    'Reloads of the configuration; a refused one changes nothing',
    { result: ['applied', 'refused'] },
  );
  live?.onResult(({ kind }) => {
    reloads.inc({ result: kind });
  });
}
