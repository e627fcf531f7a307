/** Writes the big-endian structures of TPM 2.0 Part 2. Its numbers are the program's own, so a bad one is a defect. */

export class TpmWriter {
  readonly #parts: Buffer[] = [];

  uint8(value: number): this {
    return this.#number(value, 1);
  }

  uint16(value: number): this {
    return this.#number(value, 2);
  }

  uint32(value: number): this {
    return this.#number(value, 4);
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    return this;
  }

  /** TPM2B: a size of two bytes and as many bytes. @throws RangeError when it is longer than 65535 bytes. */
  sized(value: Uint8Array): this {
    return this.uint16(value.length).bytes(value);
  }

  /** What was written so far, as one buffer of its own. */
  build(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #number(value: number, size: number): this {
    const bytes = Buffer.alloc(size);
    bytes.writeUIntBE(value, 0, size);
    this.#parts.push(bytes);
    return this;
  }
}
