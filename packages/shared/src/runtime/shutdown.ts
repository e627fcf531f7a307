/** Undoes in reverse order what was started, all of it, whatever fails on the way. */

export class Shutdown {
  readonly #steps: (() => unknown)[] = [];
  #done: Promise<void> | undefined;

  /** @param step runs before all that were added earlier; may return a promise. */
  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Once; later calls wait for the first. @throws AggregateError of what failed, after everything was tried. */
  run(): Promise<void> {
    this.#done ??= this.#run();
    return this.#done;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be stopped');
  }
}
