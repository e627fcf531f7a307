/** What OpenSSL is told: our SVID and key, and (for clients) the authorities; made anew when the source changes. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { X509Bundles } from '../workload-api/x509-context.js';
import type { X509Identity } from '../x509-source.js';

/** @types/node 20 lacks it; Node has it since 20.18. A bundle's authority need not be self-signed (X509-SVID section 6.1). */
interface ClientContextOptions extends SecureContextOptions {
  readonly allowPartialTrustChain: true;
}

/** For `server.setSecureContext`. Without an SVID there is no certificate, and so no handshake. */
export function serverContextOptions(svid: X509Svid | undefined): SecureContextOptions {
  return {
    ...(svid === undefined ? {} : keyAndCertificate(svid)),
    ca: [], // names no authority to clients, and spares OpenSSL the public ones: chains are verified by verify-peer.ts
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET, // a resumed session would carry over a peer that was verified in the past
  };
}

/**
 * A SecureContext whose content is the source's newest, at the moment in which a connection is made: Node and gRPC read `context` for
 * each one. So options that hold it can be used again and again.
 * Reading it throws what `source.svid` throws, and then no connection is made.
 */
export function createLiveSecureContext(source: X509Identity): SecureContext {
  let made:
    { readonly svid: X509Svid; readonly bundles: X509Bundles; readonly context: SecureContext } | undefined;
  return {
    get context(): unknown {
      const { svid, bundles } = source;
      if (made?.svid !== svid || made.bundles !== bundles) {
        made = { svid, bundles, context: createSecureContext(clientContextOptions(svid, bundles)) };
      }
      return made.context.context as unknown;
    },
  };
}

/** OpenSSL believes any authority of any trust domain; `checkServerIdentity` then holds the peer to its own. */
function clientContextOptions(svid: X509Svid, bundles: X509Bundles): ClientContextOptions {
  const authorities = [...bundles.values()].flatMap((bundle) => bundle.x509Authorities);
  return {
    ...keyAndCertificate(svid),
    ca: authorities.map((der) => encodePem('CERTIFICATE', der)),
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function keyAndCertificate(svid: X509Svid): { readonly cert: string; readonly key: string } {
  return {
    cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
  };
}
