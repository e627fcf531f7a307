/** `local_file`: the bundle in a file that everybody may read, replaced whole. */
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import { z } from 'zod';
import type { BundlePublisherPlugin } from './bundle-publisher.js';
import { formatPublishedBundle, publishedFormatSchema } from './published-format.js';

const configSchema = z.strictObject({
  /** Its folder must be there. */
  path: z.string().min(1),
  format: publishedFormatSchema.default('spiffe'),
});

const FILE_MODE = 0o644;

export const localFile: BundlePublisherPlugin<typeof configSchema> = {
  configSchema,
  create: ({ path, format }) => ({
    name: 'local_file',
    publish: (bundle) => writeFileAtomic(path, formatPublishedBundle(bundle, format), FILE_MODE),
  }),
};
