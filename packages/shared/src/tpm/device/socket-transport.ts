/** A software TPM behind a socket: commands and responses follow each other on a stream, framed by the size in their own header. */
import type { Socket } from 'node:net';
import { BonafideError } from '../../errors/bonafide-error.js';
import { LARGEST_RESPONSE_BYTES, RESPONSE_HEADER_BYTES } from './tpm-response.js';
import { givenUp, type TpmTransport } from './transport.js';

interface Waiter {
  readonly resolve: (response: Buffer) => void;
  readonly reject: (error: BonafideError) => void;
}

export class SocketTransport implements TpmTransport {
  readonly isShared = false;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiter: Waiter | undefined;
  #failure: BonafideError | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data: Buffer) => {
      this.#receive(data);
    });
    socket.on('error', (cause) => {
      this.#fail(
        new BonafideError('unavailable', `the connection to the TPM broke: ${cause.message}`, { cause }),
      );
    });
    socket.on('close', () => {
      this.#fail(new BonafideError('unavailable', 'the TPM closed the connection'));
    });
  }

  transmit(command: Buffer, signal?: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined || this.#waiter !== undefined) {
        reject(this.#failure ?? new BonafideError('unavailable', 'the connection to the TPM is at work'));
        return;
      }
      const onAbort = (): void => {
        this.#fail(givenUp());
      };
      const finish = (): void => {
        this.#waiter = undefined;
        signal?.removeEventListener('abort', onAbort);
      };
      this.#waiter = {
        resolve: (response) => {
          finish();
          resolve(response);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
      else this.#socket.write(command);
    });
  }

  close(): Promise<void> {
    this.#failure ??= new BonafideError('unavailable', 'the connection to the TPM is closed');
    this.#waiter?.reject(this.#failure);
    this.#socket.destroy();
    return Promise.resolve();
  }

  #receive(data: Buffer): void {
    if (this.#waiter === undefined) {
      this.#fail(new BonafideError('unavailable', 'the TPM answered without having been asked'));
      return;
    }
    this.#received = Buffer.concat([this.#received, data]);
    if (this.#received.length < RESPONSE_HEADER_BYTES) return;
    const size = this.#received.readUInt32BE(2);
    if (size < RESPONSE_HEADER_BYTES || size > LARGEST_RESPONSE_BYTES || this.#received.length > size) {
      this.#fail(
        new BonafideError(
          'unavailable',
          `the TPM answers with ${this.#received.length} bytes and says ${size}`,
        ),
      );
      return;
    }
    if (this.#received.length < size) return;
    const response = this.#received;
    this.#received = Buffer.alloc(0);
    this.#waiter.resolve(response);
  }

  /** What comes later could be the answer to an older command, so nothing is read any more. */
  #fail(error: BonafideError): void {
    this.#failure ??= error;
    this.#waiter?.reject(this.#failure);
    this.#socket.destroy();
  }
}
