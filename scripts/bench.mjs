// `npm run bench -- issuance workload-api propagation`: measures rows of the design's target table, each with its reference in the same run.
import { existsSync, readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';

const root = dirname(import.meta.dirname);
try {
  setUp();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const folder = join(root, 'test', 'dist', 'bench');
const known = readdirSync(join(root, 'test', 'bench'))
  .filter((file) => file.endsWith('.ts') && file !== 'row.ts')
  .map((file) => file.slice(0, -'.ts'.length));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : known;

console.log(
  `node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model ?? 'cpu'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
);
for (const name of wanted) {
  const file = join(folder, `${name}.js`);
  if (!known.includes(name) || !existsSync(file)) {
    console.error(`no benchmark ${name}; there are: ${known.join(', ')}`);
    process.exitCode = 1;
    continue;
  }
  console.log(`\n${name}`);
  const { measure } = await import(pathToFileURL(file).href);
  for (const row of await measure()) console.log(`  ${formatRow(row)}`);
}
process.exit();

function formatRow({ what, value, unit, reference, target }) {
  const parts = [`${what.padEnd(64)} ${formatNumber(value).padStart(9)} ${unit}`];
  if (target !== undefined) parts.push(`target ${target}`);
  if (reference !== undefined) {
    parts.push(
      `${reference.what}: ${formatNumber(reference.value)} ${reference.unit} (ratio ${(value / reference.value).toFixed(2)})`,
    );
  }
  return parts.join('  | ');
}

function formatNumber(value) {
  return Number.isInteger(value) || value >= 1000
    ? Math.round(value).toLocaleString('en')
    : value.toPrecision(3);
}
