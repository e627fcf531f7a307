// A JWT-SVID from the Workload API, and its verification by the bundles that are held.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node call-yourself.mjs --audience spiffe://example.org/billing
import { parseArgs } from 'node:util';
import { JwtSource } from '@bonafide/sdk';

const { values } = parseArgs({ options: { audience: { type: 'string' } } });

const source = await JwtSource.create();
const { token } = await source.fetch(values.audience); // to be sent as `authorization: Bearer …`, by TLS
const { spiffeId, audience } = await source.verify(token, values.audience); // as its receiver would
console.log(`${spiffeId} for ${audience.join(', ')}`);
try {
  await source.verify(token, 'spiffe://example.org/somebody-else');
} catch (error) {
  console.log(`elsewhere: ${error.message}`);
}
await source.close();
