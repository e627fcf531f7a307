// Makes what is installed: `npm run package [-- --deb] [-- --output FOLDER]`, for the platform that it runs on. Needs the dependencies, not the build.
import { parseArgs } from 'node:util';
import { dirname, join, resolve } from 'node:path';
import { bundlePrograms, describe } from './package/bundle.mjs';

const root = dirname(import.meta.dirname);

const { values } = parseArgs({
  options: {
    output: { type: 'string', default: join(root, 'dist', 'package') },
    deb: { type: 'boolean', default: false },
    node: { type: 'string', default: process.execPath },
    'without-node': { type: 'boolean', default: false },
    compression: { type: 'string', default: 'xz' },
  },
});

try {
  const output = resolve(values.output);
  const bundles = await bundlePrograms(output);
  for (const bundle of bundles) console.log(describe(bundle));
  if (values.deb) {
    const { buildDebianPackages } = await import('./package/debian.mjs');
    const { compression } = values;
    const node = values['without-node'] ? undefined : values.node;
    for (const file of buildDebianPackages({ bundles, output, node, compression })) console.log(file);
  }
} catch (error) {
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
}
