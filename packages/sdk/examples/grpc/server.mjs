// A gRPC server behind mutual TLS, which authorizes each method by itself.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node server.mjs --reader spiffe://example.org/reader
import { parseArgs } from 'node:util';
import { Server } from '@grpc/grpc-js';
import {
  authorizeAny,
  authorizeGrpcCalls,
  authorizeId,
  createGrpcListener,
  grpcPeerSpiffeId,
  X509Source,
} from '@bonafide/sdk';
import { Ledger } from './ledger.mjs';

const { values } = parseArgs({
  options: { reader: { type: 'string' }, port: { type: 'string', default: '8443' } },
});
const authorizers = { '/example.Ledger/Read': authorizeId(values.reader) };

const source = await X509Source.create();
const server = new Server({ interceptors: [authorizeGrpcCalls((method) => authorizers[method])] });
server.addService(Ledger, {
  Read: (call, callback) => callback(null, { reader: grpcPeerSpiffeId(call), balance: 12 }),
});
const listener = createGrpcListener(server, source, authorizeAny());
const { port } = await listener.listen({ port: Number(values.port), host: '127.0.0.1' });
console.log(`listening on 127.0.0.1:${port}`);
process.once('SIGTERM', async () => {
  await listener.close(1_000);
  await source.close();
});
