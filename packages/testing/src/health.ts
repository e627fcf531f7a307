/** Asks a program's health service, as an orchestrator's probe does. */
import { connect } from 'node:net';
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';

const SERVING = 1;
const NOT_SERVING = 2;
const CHECK = '/grpc.health.v1.Health/Check';

/** True once the service behind the Unix socket answers SERVING; false for anything else, also when nothing listens. */
export async function isServing(socketPath: string, limitMs = 2_000): Promise<boolean> {
  return (await healthOf(socketPath, limitMs)) === SERVING;
}

/** True once it answers, also that it is not well: an agent in quarantine serves its workloads, and they get nothing. */
export async function isAnswering(socketPath: string, limitMs = 2_000): Promise<boolean> {
  const health = await healthOf(socketPath, limitMs);
  return health === SERVING || health === NOT_SERVING;
}

/** Undefined: no answer. */
async function healthOf(socketPath: string, limitMs: number): Promise<number | undefined> {
  // A gRPC client that found nobody connects later all the same, although it was closed, and stays.
  return (await isListening(socketPath)) ? askHealth(socketPath, limitMs) : undefined;
}

function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

function askHealth(socketPath: string, limitMs: number): Promise<number | undefined> {
  // HealthCheckResponse { status = 1 } is one enum: the bytes 08 01 say SERVING.
  const decode = (bytes: Buffer): number => (bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0);
  const Client = makeGenericClientConstructor({}, 'grpc.health.v1.Health');
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      CHECK,
      () => Buffer.alloc(0),
      decode,
      {},
      { deadline: Date.now() + limitMs },
      (error: Error | null, status: number | undefined) => {
        client.close();
        resolve(error === null ? status : undefined);
      },
    );
  });
}
