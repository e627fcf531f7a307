/** Counts the messages that come on many streams, and waits until each has had one. */
export class Arrivals {
  readonly #streams: number;
  #missing = 0;
  #resolve: () => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(streams: number) {
    this.#streams = streams;
  }

  /** From now on; to be called before they can come. @throws what a stream ended with. */
  async onAll(): Promise<void> {
    this.#missing = this.#streams;
    await new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  count(): void {
    if ((this.#missing -= 1) === 0) this.#resolve();
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}
