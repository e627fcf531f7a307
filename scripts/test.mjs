// Every test, from a fresh clone on: `npm test`. Ends with the line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
  const status = await runVitest(['run', ...reporters(report), ...process.argv.slice(2)], programs);
  process.exitCode = 1;
  if (existsSync(report)) {
    const { passed, failed } = sayHowItWent(JSON.parse(readFileSync(report, 'utf8')));
    if (status === 0 && failed === 0 && passed > 0) process.exitCode = 0;
  } else {
    console.log('the tests did not come to their end: see above');
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function reporters(report) {
  const hangs = join(root, 'scripts', 'test', 'hang-reporter.mjs');
  return ['--reporter=default', `--reporter=${hangs}`, '--reporter=json', `--outputFile.json=${report}`];
}

/** In a process group of its own, so that nothing of it is left when it ended, however it did. */
async function runVitest(args, programs) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, ...args], {
    cwd: root,
    detached: true,
    env: { ...process.env, BONAFIDE_PROGRAMS: programs },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const endAll = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => endAll(signal));
  const [status] = await once(child, 'exit');
  endAll('SIGKILL');
  return status;
}

function sayHowItWent(counts) {
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
  return { passed: counts.numPassedTests, failed };
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
