/** Methods whose messages are encoded already when they are sent. */
import type { MethodDefinition } from '@grpc/grpc-js';

export function sendingBytes<Request extends object, Response extends object>(
  method: MethodDefinition<Request, Response>,
): MethodDefinition<Request, Buffer> {
  return { ...method, responseSerialize: (bytes) => bytes, responseDeserialize: (bytes) => bytes };
}
