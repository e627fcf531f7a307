// An Express application that knows its callers by their SPIFFE IDs.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node server.mjs --trust-domain example.org
import { parseArgs } from 'node:util';
import express from 'express';
import { authorizeMemberOf, createHttpsServer, X509Source } from '@bonafide/sdk';
import { requireSpiffeId } from '@bonafide/sdk/express';

const { values } = parseArgs({
  options: { 'trust-domain': { type: 'string' }, port: { type: 'string', default: '8443' } },
});
const members = authorizeMemberOf(values['trust-domain']);

const source = await X509Source.create();
const app = express();
app.use(
  requireSpiffeId({ authorizer: members, onRefusal: (error) => console.log(`refused: ${error.message}`) }),
);
app.get('/', (request, response) => {
  response.send(`hello ${request.spiffeId}`);
});

const server = createHttpsServer(source, members, app);
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`listening on https://127.0.0.1:${server.address().port}`);
});
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  void source.close();
});
