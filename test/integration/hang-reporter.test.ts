import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, expect, it } from 'vitest';

/** What this test uses of `scripts/test/hang-reporter.mjs`. */
interface HangReporter {
  onTestModuleStart(module: Module): void;
  onTestCaseReady(test: Test): void;
  onTestCaseResult(test: Test): void;
  onTestModuleEnd(module: Module): void;
  problemsAt(now: number): string[];
}

interface Module {
  readonly moduleId: string;
}

interface Test {
  readonly module: Module;
  readonly fullName: string;
}

const MINUTE_MS = 60_000;
const root = join(import.meta.dirname, '..', '..');
const module: Module = { moduleId: join(root, 'a.test.ts') };
const test: Test = { module, fullName: 'adds' };

let reporter: HangReporter;
let now: number;

beforeEach(async () => {
  const source = pathToFileURL(join(root, 'scripts', 'test', 'hang-reporter.mjs')).href;
  const { default: Reporter } = (await import(source)) as { default: new () => HangReporter };
  reporter = new Reporter();
  now = performance.now();
});

it('names the file that is silent, and what it did last', () => {
  reporter.onTestModuleStart(module);
  reporter.onTestCaseReady(test);
  expect(reporter.problemsAt(now + 11 * MINUTE_MS)).toEqual([]);
  expect(reporter.problemsAt(now + 13 * MINUTE_MS)).toEqual([
    expect.stringMatching(/^a\.test\.ts: in "adds", and nothing since \d+ s$/),
  ]);
});

it('leaves a file alone that has ended, also when the last of its tests is told of after it', () => {
  reporter.onTestModuleStart(module);
  reporter.onTestModuleEnd(module);
  reporter.onTestCaseReady(test);
  reporter.onTestCaseResult(test);
  expect(reporter.problemsAt(now + 13 * MINUTE_MS)).toEqual([]);
});

it('ends a run that takes too long', () => {
  expect(reporter.problemsAt(now + 59 * MINUTE_MS)).toEqual([]);
  expect(reporter.problemsAt(now + 61 * MINUTE_MS)).toEqual(['the tests are not done after 60 minutes']);
});
