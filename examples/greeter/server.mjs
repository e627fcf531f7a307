// A sample workload: greets, over mutual TLS, whoever has the one SPIFFE ID that it serves.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node examples/greeter/server.mjs --client spiffe://example.org/greeter-client
import { X509Certificate } from 'node:crypto';
import { parseArgs } from 'node:util';
import { authorizeId, createHttpsServer, peerSpiffeId, X509Source } from '@bonafide/sdk';

const { values } = parseArgs({
  options: { client: { type: 'string' }, port: { type: 'string', default: '8443' } },
});
if (values.client === undefined) {
  console.error('usage: server.mjs --client <SPIFFE ID of who is served> [--port 8443]');
  process.exit(2);
}

// The identity comes from the Workload API, which knows this process by what the kernel says of it: there is no secret here.
const source = await X509Source.create();
const describe = () => {
  const [leaf] = source.svid.certificateChain;
  const { serialNumber } = new X509Certificate(leaf);
  return `${source.svid.spiffeId} serial ${serialNumber} until ${source.svid.notAfter.toISOString()}`;
};
console.log(`identity ${describe()}`);
// Nothing needs to be done at a rotation; the server presents the new certificate by itself.
source.on('update', () => console.log(`renewed ${describe()}`));
source.on('denied', (error) => console.log(`denied ${error.message}`));

const server = createHttpsServer(source, authorizeId(values.client), (request, response) => {
  response.end(`hello ${peerSpiffeId(request.socket)}, I am ${source.svid.spiffeId}\n`);
});
server.on('tlsClientError', (error) => console.log(`refused a client: ${error.message}`));
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`listening on https://127.0.0.1:${server.address().port}`);
});

const stop = () => {
  server.close();
  server.closeAllConnections();
  void source.close();
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
