// All that must hold before a commit: build, lint, format, import rules, unused code, the sdk's reference, tests. `--without-tests` leaves the last out.
import { spawnSync } from 'node:child_process';
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
if (!process.argv.includes('--without-tests')) {
  steps.push(['tests', process.execPath, [join(root, 'scripts', 'test.mjs')]]);
}

try {
  setUp({ say: (line) => console.log(line) });
  console.log('ok    build');
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const broken = [];
for (const [name, command, args] of steps) {
  const started = process.hrtime.bigint();
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(`${status === 0 ? 'ok   ' : 'FAIL '} ${name} (${seconds.toFixed(1)} s)`);
  if (status !== 0) broken.push(name);
}
if (broken.length > 0) {
  console.error(`check failed: ${broken.join(', ')}`);
  process.exitCode = 1;
}
