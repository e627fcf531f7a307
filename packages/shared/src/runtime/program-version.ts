/** The version of this release, which programs tell their operator and each other: all packages have the same one. */
import { createRequire } from 'node:module';
import { z } from 'zod';

const manifestSchema = z.object({ version: z.string() });

export function programVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('../../package.json');
  return manifestSchema.parse(manifest).version;
}
