// `npm run bench -- issuance workload-api scale`: measures rows of the target table in docs/benchmarks.md, each beside its reference in the same run.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';

const USAGE = `npm run bench -- [benchmark ...] [--quick] [--only part,part] [--markdown] [--save]
  --quick     small and short, to see that it works
  --only      parts of a benchmark that has parts, such as scale
  --markdown  prints each table once more as docs/benchmarks.md has it
  --save      writes rows and charts to docs/benchmarks/`;

const root = dirname(import.meta.dirname);
const known = readdirSync(join(root, 'test', 'bench'))
  .filter((file) => file.endsWith('.ts') && file !== 'row.ts')
  .map((file) => file.slice(0, -'.ts'.length));
const { wanted, flags } = readArguments();
try {
  setUp();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const machine = `Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model.trim() ?? 'cpu'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const saved = join(root, 'docs', 'benchmarks');
const { formatMarkdown, formatText } = await load('measuring/row-table');
console.log(machine);
for (const name of wanted) {
  console.log(`\n${name} (load ${loadavg()[0].toFixed(1)} before)`);
  const startedMs = performance.now();
  try {
    const { measure } = await load(name);
    const rows = await measure({
      isQuick: flags.quick,
      only: flags.only?.split(',') ?? [],
      cacheDirectory: join(root, '.cache', 'bench'),
      chart: (file, svg) => {
        if (flags.save) save(`${name}-${file}.svg`, svg);
      },
    });
    console.log(formatText(rows));
    if (flags.markdown) console.log(`\n${formatMarkdown(rows)}\n`);
    if (flags.save) {
      const run = { command: `npm run bench -- ${process.argv.slice(2).join(' ')}`, machine, rows };
      save(`${name}.json`, `${JSON.stringify(run, undefined, 2)}\n`);
    }
  } catch (error) {
    console.error(`  failed: ${error.stack ?? error}`);
    process.exitCode = 1;
  }
  console.log(`  took ${Math.round((performance.now() - startedMs) / 1000)} s`);
}
process.exit();

function readArguments() {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        markdown: { type: 'boolean', default: false },
        save: { type: 'boolean', default: false },
      },
    });
    const unknown = positionals.filter((name) => !known.includes(name));
    if (unknown.length > 0) {
      throw new Error(`no benchmark ${unknown.join(', ')}; there are: ${known.join(', ')}`);
    }
    return { wanted: positionals.length > 0 ? positionals : known, flags: values };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(1);
  }
}

/** Of what was built from test/bench. */
function load(name) {
  return import(pathToFileURL(join(root, 'test', 'dist', 'bench', `${name}.js`)).href);
}

function save(file, text) {
  mkdirSync(saved, { recursive: true });
  writeFileSync(join(saved, file), text);
}
