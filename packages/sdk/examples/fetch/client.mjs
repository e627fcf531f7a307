// `fetch` with our SVID, from the one server that is meant.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node client.mjs --server spiffe://example.org/web --url https://127.0.0.1:8443/
import { parseArgs } from 'node:util';
import { authorizeId, X509Source } from '@bonafide/sdk';
import { createFetchDispatcher } from '@bonafide/sdk/undici';

const { values } = parseArgs({ options: { server: { type: 'string' }, url: { type: 'string' } } });

const source = await X509Source.create();
const dispatcher = createFetchDispatcher(source, { authorize: authorizeId(values.server) });
try {
  const response = await fetch(values.url, { dispatcher });
  console.log(response.status, await response.text());
} catch (error) {
  console.error(`refused: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
await dispatcher.close();
await source.close();
