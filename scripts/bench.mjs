// `npm run bench -- issuance workload-api propagation`: measures rows of the target table in docs/benchmarks.md, each beside its reference in the same run.
import { readdirSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';

const root = dirname(import.meta.dirname);
const known = readdirSync(join(root, 'test', 'bench'))
  .filter((file) => file.endsWith('.ts') && file !== 'row.ts')
  .map((file) => file.slice(0, -'.ts'.length));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : known;
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  process.exit(1);
}
try {
  setUp();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

console.log(
  `node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model ?? 'cpu'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
);
for (const name of wanted) {
  console.log(`\n${name} (load ${loadavg()[0].toFixed(1)} before)`);
  const startedMs = performance.now();
  try {
    const { measure } = await import(pathToFileURL(join(root, 'test', 'dist', 'bench', `${name}.js`)).href);
    printRows(await measure());
  } catch (error) {
    console.error(`  failed: ${error.stack ?? error}`);
    process.exitCode = 1;
  }
  console.log(`  took ${Math.round((performance.now() - startedMs) / 1000)} s`);
}
process.exit();

/** One line a row, its target and then its reference under it. */
function printRows(rows) {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, value, unit, reference, target } of rows) {
    const targeted = target === undefined ? '' : `  (target ${target})`;
    console.log(`  ${what.padEnd(width)}  ${formatNumber(value).padStart(8)} ${unit}${targeted}`.trimEnd());
    if (reference === undefined) continue;
    const compared = `${reference.what}: ${formatNumber(reference.value)} ${reference.unit}`.trimEnd();
    const ratio =
      reference.value === 0
        ? ''
        : `; ratio ${formatNumber(Number((value / reference.value).toPrecision(2)))}`;
    console.log(`      ${compared}${ratio}`);
  }
}

/** Three digits that count, and no exponents. */
function formatNumber(value) {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString('en', {
    maximumSignificantDigits: Math.abs(value) < 1000 ? 3 : Math.floor(Math.log10(Math.abs(value))) + 1,
  });
}
