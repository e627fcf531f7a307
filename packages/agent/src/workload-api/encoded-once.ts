/** Streams that are given the same update share its bytes; they go when the update goes. */

export class EncodedOnce<Update extends object> {
  readonly #encode: (update: Update) => Buffer;
  readonly #bytes = new WeakMap<Update, Buffer>();

  constructor(encode: (update: Update) => Buffer) {
    this.#encode = encode;
  }

  bytes(update: Update): Buffer {
    const present = this.#bytes.get(update);
    if (present !== undefined) return present;
    const bytes = this.#encode(update);
    this.#bytes.set(update, bytes);
    return bytes;
  }
}
