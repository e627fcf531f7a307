/** Questions that several ask at once and one asks for all: the question goes on for as long as anybody waits for its answer. */

interface Ask<T> {
  readonly answer: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class SharedAsks<T> {
  readonly #asks = new Map<string, Ask<T>>();

  /** @param begin is called when nobody has asked the same yet; its signal fires once nobody waits any more. */
  async ask(key: string, signal: AbortSignal, begin: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const ask = this.#asks.get(key) ?? this.#begin(key, begin);
    ask.waiting += 1;
    let onAbort: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      onAbort = () => {
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([ask.answer, left]);
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
      ask.waiting -= 1;
      if (ask.waiting === 0) {
        this.#forget(key, ask);
        ask.stop.abort();
      }
    }
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<T>): Ask<T> {
    const stop = new AbortController();
    const ask: Ask<T> = { answer: begin(stop.signal), stop, waiting: 0 };
    this.#asks.set(key, ask);
    // Whoever asks after the answer came asks anew. The errors are those of the ones who wait.
    const done = (): void => {
      this.#forget(key, ask);
    };
    ask.answer.then(done, done);
    return ask;
  }

  #forget(key: string, ask: Ask<T>): void {
    if (this.#asks.get(key) === ask) this.#asks.delete(key);
  }
}
