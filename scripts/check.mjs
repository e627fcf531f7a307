// All that must hold before a commit: build, lint, format, import rules, unused code, the sdk's reference, tests. `--without-tests` leaves the last out.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { setUp } from './setup.mjs';

const root = dirname(import.meta.dirname);
const bin = (name) => join(root, 'node_modules', '.bin', name);

const steps = [
  ['lint', bin('eslint'), ['.', '--max-warnings=0']],
  ['format', bin('prettier'), ['--check', '--log-level=warn', '.']],
  [
    'import rules',
    bin('depcruise'),
    ['--config', '.dependency-cruiser.cjs', 'packages', 'test', '--output-type', 'err'],
  ],
  ['unused code', bin('knip'), []],
  ['documented sdk', bin('typedoc'), ['--options', 'packages/sdk/typedoc.json', '--emit', 'none']],
];
try {
  setUp({ say: (line) => console.log(line) });
  console.log('ok    build');
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

// Side by side, for the first takes longer than all the others; what each has to say comes in one piece.
const results = await Promise.all(steps.map(check));
if (!process.argv.includes('--without-tests')) results.push(test());
const broken = results.filter(({ holds }) => !holds).map(({ name }) => name);
if (broken.length > 0) {
  console.error(`check failed: ${broken.join(', ')}`);
  process.exitCode = 1;
}

async function check([name, command, args]) {
  const started = performance.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  const [status] = await once(child, 'close');
  process.stdout.write(Buffer.concat(said));
  return verdict(name, status, started);
}

function test() {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'test.mjs')], {
    cwd: root,
    stdio: 'inherit',
  });
  return verdict('tests', status, started);
}

function verdict(name, status, started) {
  const seconds = (performance.now() - started) / 1000;
  console.log(`${status === 0 ? 'ok   ' : 'FAIL '} ${name} (${seconds.toFixed(1)} s)`);
  return { name, holds: status === 0 };
}
