// Follows the trust bundles of our trust domain and of those it federates with; needs no identity of its own.
//
//   SPIFFE_ENDPOINT_SOCKET=unix:///path/to/agent.sock node watch.mjs
import { BundleSource } from '@bonafide/sdk';

const source = await BundleSource.create();
const say = () => {
  for (const { trustDomain, x509Authorities, jwtAuthorities, witAuthorities } of source.bundles.values()) {
    console.log(
      `${trustDomain} x509 ${x509Authorities.length} jwt ${jwtAuthorities.length} wit ${witAuthorities.length}`,
    );
  }
};
say();
source.on('update', say);
source.on('denied', (error) => console.log(`denied: ${error.message}`));
source.on('disconnect', (error) => console.log(`away: ${error.message}`));
process.once('SIGTERM', () => source.close());
