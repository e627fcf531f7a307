/** A TPM behind a device of the kernel: one write is the command, one read the whole response (Linux, drivers/char/tpm). */
import type { FileHandle } from 'node:fs/promises';
import { BonafideError, errorMessage } from '../../errors/bonafide-error.js';
import { LARGEST_RESPONSE_BYTES } from './tpm-response.js';
import { givenUp, type TpmTransport } from './transport.js';

export class DeviceTransport implements TpmTransport {
  readonly isShared: boolean;
  readonly #device: FileHandle;
  #isUsable = true;
  /** The command under way; a device that was given up is closed after it. */
  #exchange: Promise<Buffer> | undefined;

  constructor(device: FileHandle, isShared: boolean) {
    this.#device = device;
    this.isShared = isShared;
  }

  async transmit(command: Buffer, signal?: AbortSignal): Promise<Buffer> {
    if (!this.#isUsable || this.#exchange !== undefined)
      throw new BonafideError('unavailable', 'the connection to the TPM is closed or at work');
    signal?.throwIfAborted();
    const exchange = this.#writeAndRead(command);
    this.#exchange = exchange;
    exchange.catch(() => undefined); // when it was given up, nobody else looks
    let onAbort: (() => void) | undefined;
    const abandoned = new Promise<never>((_resolve, reject) => {
      onAbort = () => {
        this.#isUsable = false;
        reject(givenUp());
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const response = await Promise.race([exchange, abandoned]);
      this.#exchange = undefined;
      return response;
    } catch (error) {
      this.#isUsable = false;
      throw error;
    } finally {
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Objects that are still loaded are flushed by the kernel's resource manager, if it is one. */
  async close(): Promise<void> {
    this.#isUsable = false;
    const closing = (this.#exchange ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#device.close());
    // A driver that never answers must not hold up who closes.
    if (this.#exchange === undefined) await closing;
    else closing.catch(() => undefined);
  }

  async #writeAndRead(command: Buffer): Promise<Buffer> {
    try {
      const { bytesWritten } = await this.#device.write(command, 0, command.length, null);
      if (bytesWritten !== command.length)
        throw new Error(`it took ${bytesWritten} of ${command.length} bytes`);
      const response = Buffer.alloc(LARGEST_RESPONSE_BYTES);
      const { bytesRead } = await this.#device.read(response, 0, response.length, null);
      return response.subarray(0, bytesRead);
    } catch (cause) {
      throw new BonafideError('unavailable', `the TPM's device fails: ${errorMessage(cause)}`, { cause });
    }
  }
}
