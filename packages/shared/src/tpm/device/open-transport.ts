/** Opens the TPM that a path names: a device of the kernel, or the socket of a software TPM. */
import { open, type FileHandle } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { BonafideError, errorMessage, invalidArgument } from '../../errors/bonafide-error.js';
import { DeviceTransport } from './device-transport.js';
import { SocketTransport } from './socket-transport.js';
import type { TpmTransport } from './transport.js';

const SHARED_DEVICE = /\/tpmrm\d+$/;
const DEVICE = /^\/.*\/tpm(?:rm)?\d+$/;
const UNIX = /^unix:(\/.+)$/;
const TCP = /^tcp:(.+):(\d{1,5})$/;
const HIGHEST_PORT = 65535;

/** @throws BonafideError `invalid_argument` unless it is `/dev/tpmrm0` or like it, `unix:/path`, or `tcp:host:port`. */
export function checkTpmPath(path: string): void {
  const port = Number(TCP.exec(path)?.[2] ?? 1);
  if (!(DEVICE.test(path) || UNIX.test(path) || TCP.test(path)) || port < 1 || port > HIGHEST_PORT)
    throw invalidArgument(
      `${JSON.stringify(path)} is no path of a TPM; accepted are /dev/tpmrm0, unix:/path/of/socket and tcp:127.0.0.1:port`,
    );
}

/** @throws BonafideError saying what to do when there is no TPM, or none that we may use. */
export async function openTpmTransport(path: string, signal?: AbortSignal): Promise<TpmTransport> {
  checkTpmPath(path);
  const [, socketPath] = UNIX.exec(path) ?? [];
  const [, host, port] = TCP.exec(path) ?? [];
  if (socketPath !== undefined)
    return new SocketTransport(await connected(path, connect({ path: socketPath }), signal));
  if (host !== undefined) {
    const socket = connect({ host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) });
    return new SocketTransport(await connected(path, socket, signal));
  }
  return new DeviceTransport(await openDevice(path), SHARED_DEVICE.test(path));
}

async function openDevice(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    throw deviceRefused(path, error);
  }
}

function deviceRefused(path: string, error: unknown): BonafideError {
  const options = { cause: error };
  switch ((error as NodeJS.ErrnoException).code ?? '') {
    case 'ENOENT':
    case 'ENODEV':
    case 'ENXIO':
      return new BonafideError(
        'failed_precondition',
        `there is no TPM at ${path}: enable it in the firmware's settings, load its driver, or name the path of another`,
        options,
      );
    case 'EACCES':
    case 'EPERM':
      return new BonafideError(
        'permission_denied',
        `the TPM at ${path} may not be used: add this user to the group tss, or to the one that owns the device, and start again`,
        options,
      );
    case 'EBUSY':
      return new BonafideError(
        'unavailable',
        `the TPM at ${path} is held by another program: use /dev/tpmrm0, which many may share`,
        options,
      );
    default:
      return new BonafideError(
        'unavailable',
        `the TPM at ${path} cannot be opened: ${errorMessage(error)}`,
        options,
      );
  }
}

function connected(path: string, socket: Socket, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      socket.removeListener('error', onError);
      socket.removeListener('connect', onConnect);
      finish();
    };
    const fail = (error: BonafideError): void => {
      settle(() => {
        socket.on('error', () => undefined); // nobody waits for it any more
        socket.destroy();
        reject(error);
      });
    };
    const onAbort = (): void => {
      fail(new BonafideError('cancelled', `connecting to the TPM at ${path} was cancelled`));
    };
    const onError = (cause: Error): void => {
      fail(
        new BonafideError(
          'unavailable',
          `no TPM answers at ${path}: is its swtpm running? ${cause.message}`,
          { cause },
        ),
      );
    };
    const onConnect = (): void => {
      settle(() => {
        resolve(socket);
      });
    };
    socket.once('error', onError).once('connect', onConnect);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}
