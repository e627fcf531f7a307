// Follows the bundle of another trust domain by its bundle endpoint of profile https_spiffe, and verifies tokens by it.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node watch.mjs --trust-domain other.example \
//     --url https://bundle.other.example:8443/ --endpoint-id spiffe://example.org/spire/server
import { parseArgs } from 'node:util';
import { BundleSet, BundleSource, watchBundle } from '@bonafide/sdk';

const { values } = parseArgs({
  options: {
    'trust-domain': { type: 'string' },
    url: { type: 'string' },
    'endpoint-id': { type: 'string' },
  },
});
const { 'trust-domain': trustDomain, url, 'endpoint-id': endpointId } = values;

const source = await BundleSource.create(); // has the bundle by which the endpoint is verified
const trust = new BundleSet(source); // for verifyJwtSvid, TLS clients, and servers by `withTrust`
const end = new AbortController();
process.once('SIGTERM', () => end.abort());
await watchBundle(
  trustDomain,
  { profile: 'https_spiffe', url, endpointId, trust: source },
  {
    onUpdate: (bundle) => {
      trust.put(bundle);
      const { sequenceNumber, x509Authorities, jwtAuthorities } = bundle;
      console.log(
        `${trustDomain} number ${sequenceNumber} x509 ${x509Authorities.length} jwt ${jwtAuthorities.length}`,
      );
    },
    onError: (error) => console.log(`kept what was there: ${error.message}`),
  },
  { signal: end.signal },
);
await source.close();
