/** Which release runs, on what: a metric that is always 1 and says it in its labels. */
import { programVersion } from '../runtime/program-version.js';
import type { MetricRegistry } from './metric-registry.js';

export function registerBuildInfo(registry: MetricRegistry, program: string): void {
  const labels = { program, version: programVersion(), node: process.versions.node };
  registry.gaugeOf(
    'bonafide_build_info',
    'Always 1; the release of the program, and that of Node.js under it',
    { program: 1, version: 1, node: 1 },
    () => [[labels, 1]],
  );
}
