/** A gRPC server on a Unix socket that gives the answers a test wrote down and keeps the requests it was asked with. */
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

/** The message itself, or an object with `code` and `details` that is thrown as a status. */
type Answer = (request: never) => object;

export interface StubServices extends AsyncDisposable {
  /** In the order of the calls. */
  readonly calls: readonly { readonly method: string; readonly request: object }[];
  stop(): Promise<void>;
}

export class StubStatus extends Error {
  readonly code: number;
  readonly details: string;

  constructor(code: number, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

/**
 * @param answers by service and method, as generated: `{ 'spire.api.server.entry.v1.Entry': { CountEntries: () => ({ count: 1 }) } }`.
 * A method without an answer is unimplemented.
 */
export async function startStubServices(
  socketPath: string,
  answers: Partial<Record<ServiceName, Readonly<Record<string, Answer>>>>,
): Promise<StubServices> {
  const calls: { method: string; request: object }[] = [];
  const server = new Server();
  for (const [service, methods] of Object.entries(answers)) {
    const implementation: UntypedServiceImplementation = {};
    for (const [method, answer] of Object.entries(methods)) {
      implementation[method] = (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>) => {
        calls.push({ method, request: call.request });
        try {
          callback(null, answer(call.request as never));
        } catch (error) {
          callback(error as StubStatus);
        }
      };
    }
    server.addService(loadService(service as ServiceName).definition, implementation);
  }
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  const stop = (): Promise<void> => {
    server.forceShutdown();
    return Promise.resolve();
  };
  return { calls, stop, [Symbol.asyncDispose]: stop };
}
