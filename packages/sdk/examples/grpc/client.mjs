// A gRPC client that presents its SVID and calls the one server that is meant.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node client.mjs --server spiffe://example.org/ledger --target 127.0.0.1:8443
import { parseArgs } from 'node:util';
import { makeClientConstructor } from '@grpc/grpc-js';
import { authorizeId, grpcChannelCredentials, X509Source } from '@bonafide/sdk';
import { Ledger } from './ledger.mjs';

const { values } = parseArgs({ options: { server: { type: 'string' }, target: { type: 'string' } } });

const source = await X509Source.create();
const LedgerClient = makeClientConstructor(Ledger, 'Ledger');
const client = new LedgerClient(values.target, grpcChannelCredentials(source, authorizeId(values.server)));
await new Promise((resolve) => {
  client.Read({}, (error, reply) => {
    if (error === null) console.log(`${reply.reader} reads ${reply.balance}`);
    else console.error(`refused: ${error.details}`);
    process.exitCode = error === null ? 0 : 1;
    resolve();
  });
});
client.close();
await source.close();
