/** The version of this package, which the agent tells its server and its operator. */
import { createRequire } from 'node:module';
import { z } from 'zod';

const manifestSchema = z.object({ version: z.string() });

export function agentVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('../package.json');
  return manifestSchema.parse(manifest).version;
}
