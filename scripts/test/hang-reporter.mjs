// A reporter of vitest that ends a run in which something hangs, and says what. vitest's own limits are timers of the
// worker: they never come in one that loops, and do not count what a worker does between its tests.
import { relative } from 'node:path';

const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = MINUTE_MS / 4;
/** Longer than a test and a hook may take together. */
const LONGEST_SILENCE_MS = 12 * MINUTE_MS;
const LONGEST_RUN_MS = 60 * MINUTE_MS;

export default class HangReporter {
  #root = process.cwd();
  #began = performance.now();
  #timer;
  /** Of each file that runs: what it did last and when. */
  #running = new Map();
  /** What a file did last may be told after its end: vitest tells of a file in batches, side by side. */
  #ended = new Set();

  onInit(vitest) {
    this.#root = vitest.config.root;
  }

  onTestRunStart() {
    this.#began = performance.now();
    this.#timer = setInterval(() => {
      this.#look();
    }, LOOK_EVERY_MS);
  }

  onTestModuleQueued(module) {
    this.#did(module, 'is loaded');
  }

  onTestModuleStart(module) {
    this.#did(module, 'has begun');
  }

  onTestCaseReady(test) {
    this.#did(test.module, `in "${test.fullName}"`);
  }

  onTestCaseResult(test) {
    this.#did(test.module, `after "${test.fullName}"`);
  }

  onTestModuleEnd(module) {
    this.#ended.add(module.moduleId);
    this.#running.delete(module.moduleId);
  }

  onTestRunEnd() {
    // Not ended but unheeded: what keeps the process from its end would hang too.
    this.#running.clear();
    this.#timer.unref();
  }

  #did(module, what) {
    if (this.#ended.has(module.moduleId)) return;
    this.#running.set(module.moduleId, { what, since: performance.now() });
  }

  #look() {
    const problems = this.problemsAt(performance.now());
    if (problems.length === 0) return;
    for (const problem of problems) console.log(`failed: ${problem}`);
    process.exit(1);
  }

  /** `now` as of `performance.now()`. One line for each file that hangs, and one for a run that takes too long. */
  problemsAt(now) {
    const isTooLong = now - this.#began > LONGEST_RUN_MS;
    const problems = [...this.#running]
      .filter(([, { since }]) => isTooLong || now - since > LONGEST_SILENCE_MS)
      .map(([file, { what, since }]) => {
        const seconds = Math.round((now - since) / 1000);
        return `${relative(this.#root, file)}: ${what}, and nothing since ${seconds} s`;
      });
    if (isTooLong) problems.push(`the tests are not done after ${LONGEST_RUN_MS / MINUTE_MS} minutes`);
    return problems;
  }
}
