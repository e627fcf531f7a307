/** Asks a program's health service, as an orchestrator's probe does. */
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';

const SERVING = 1;
const CHECK = '/grpc.health.v1.Health/Check';

/** True once the service behind the Unix socket answers SERVING; false for anything else, also when nothing listens. */
export function isServing(socketPath: string, limitMs = 2_000): Promise<boolean> {
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
        resolve(error === null && status === SERVING);
      },
    );
  });
}
