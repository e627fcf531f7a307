// Every test, from a fresh clone on: `npm test`. Ends with the line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { bundlePrograms } from './package/bundle.mjs';
import { setUp } from './setup.mjs';

const root = dirname(import.meta.dirname);
const FAILURE_LINES = 25;
const FAILURE_COLUMNS = 300;

try {
  setUp();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'bonafide-test-'));
const report = join(folder, 'report.json');
try {
  chmodSync(folder, 0o755); // some tests start the programs as other users
  const programs = join(folder, 'programs');
  // What is delivered is what is tested; and it starts in half the time of one file a module.
  await bundlePrograms(programs);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    env: { ...process.env, BONAFIDE_PROGRAMS: programs },
    stdio: 'inherit',
  });
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  const skipped = counts.numPendingTests + counts.numTodoTests;
  // A file that could not be loaded, or a hook of which failed, counts as a failure although none of its tests did.
  const unrun = counts.testResults.filter(
    (file) => file.status === 'failed' && failedTestsOf(file).length === 0,
  ).length;
  const failed = counts.numFailedTests + unrun;
  sayWhatWasSkipped(counts);
  sayWhatFailed(counts);
  console.log(
    `${counts.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
  );
  process.exitCode = status === 0 && failed === 0 && counts.numPassedTests > 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A line a group of tests: its name says what its tests need, for example root or Go. */
function sayWhatWasSkipped({ testResults }) {
  const groups = new Map();
  for (const { assertionResults } of testResults) {
    for (const { status, fullName, ancestorTitles } of assertionResults) {
      if (status !== 'pending' && status !== 'skipped') continue;
      const group = ancestorTitles[0] ?? fullName;
      groups.set(group, [...(groups.get(group) ?? []), fullName]);
    }
  }
  for (const [group, names] of groups) {
    console.log(names.length === 1 ? `skipped: ${names[0]}` : `skipped: ${group} (${names.length} tests)`);
  }
}

/** Last of all and in a few lines each, for what is kept of a long output is its end. */
function sayWhatFailed({ testResults }) {
  for (const result of testResults) {
    if (result.status !== 'failed') continue;
    const file = relative(root, result.name);
    const tests = failedTestsOf(result);
    if (tests.length === 0) {
      console.log(`failed: ${file}: it could not be loaded, or a hook failed`);
      console.log(beginningOf(result.message));
    }
    for (const test of tests) {
      const seconds = (test.duration / 1000).toFixed(1);
      console.log(`failed: ${file}: ${test.fullName} (after ${seconds} s)`);
      console.log(beginningOf(test.failureMessages.join('\n')));
    }
  }
}

function failedTestsOf({ assertionResults }) {
  return assertionResults.filter(({ status }) => status === 'failed');
}

function beginningOf(text) {
  const lines = text.split('\n').filter((line) => !line.includes('node_modules'));
  return lines
    .slice(0, FAILURE_LINES)
    .map((line) => `    ${line.slice(0, FAILURE_COLUMNS)}`)
    .join('\n');
}
