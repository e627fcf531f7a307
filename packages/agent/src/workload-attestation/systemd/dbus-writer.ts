/** Writes values in the wire format of D-Bus (D-Bus Specification, "Marshaling"), little-endian. */

export class DbusWriter {
  readonly #chunks: Buffer[] = [];
  #length = 0;

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): this {
    return this.#append(Buffer.from([value]));
  }

  uint32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.align(4).#append(bytes);
  }

  /** Also an object path. */
  string(value: string): this {
    const bytes = Buffer.from(value, 'utf8');
    return this.uint32(bytes.length).#append(bytes).byte(0);
  }

  signature(value: string): this {
    const bytes = Buffer.from(value, 'ascii');
    return this.byte(bytes.length).#append(bytes).byte(0);
  }

  raw(bytes: Buffer): this {
    return this.#append(bytes);
  }

  align(boundary: number): this {
    const excess = this.#length % boundary;
    return excess === 0 ? this : this.#append(Buffer.alloc(boundary - excess));
  }

  #append(bytes: Buffer): this {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}
