/** Any RPC with an empty message. */
import type { Client, ClientReadableStream, MethodDefinition, ServiceError } from '@grpc/grpc-js';

/** Resolves with the error, if any. */
export function callWithNothing(
  client: Client,
  {
    path,
    requestSerialize,
    responseDeserialize,
    requestStream,
    responseStream,
  }: MethodDefinition<object, object>,
): Promise<ServiceError | undefined> {
  return new Promise((resolve) => {
    if (!requestStream && !responseStream) {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error) => {
        resolve(error ?? undefined);
      });
      return;
    }
    if (requestStream) {
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      listen(call, resolve);
      call.end();
    } else {
      listen(client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}), resolve);
    }
  });
}

function listen(
  call: ClientReadableStream<object>,
  resolve: (error: ServiceError | undefined) => void,
): void {
  call.on('data', () => {
    resolve(undefined);
    call.cancel();
  });
  call.on('end', () => {
    resolve(undefined);
  });
  call.on('error', resolve);
}
