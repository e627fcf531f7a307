/** What OpenSSL is told: our SVID and key, and (for clients) the authorities; made anew when the source changes. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { X509Bundles } from '../workload-api/x509-context.js';
import type { X509Identity, X509Trust } from '../x509-source.js';
import type { WebPki } from './authorizer.js';

/** @types/node 20 lacks it; Node has it since 20.18. A bundle's authority need not be self-signed (X509-SVID section 6.1). */
interface SpiffeContextOptions extends SecureContextOptions {
  readonly allowPartialTrustChain: true;
}

/** PEM: what a server presents to clients that know nothing of SPIFFE. */
export interface WebCertificate {
  /** The certificate for the host name, then its intermediates. */
  readonly cert: string;
  readonly key: string;
}

/** For `server.setSecureContext`. Without an SVID there is no certificate, and so no handshake. */
export function serverContextOptions(presented: X509Svid | WebCertificate | undefined): SecureContextOptions {
  return {
    ...(presented === undefined ? {} : keyAndCertificate(presented)),
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
export function createLiveSecureContext(source: X509Identity | X509Trust, webPki?: WebPki): SecureContext {
  let made: Made | undefined;
  return {
    get context(): unknown {
      const { bundles } = source;
      const svid = 'svid' in source ? source.svid : undefined;
      if (made === undefined || made.svid !== svid || made.bundles !== bundles) {
        made = { svid, bundles, context: createSecureContext(clientContextOptions(svid, bundles, webPki)) };
      }
      return made.context.context as unknown;
    },
  };
}

interface Made {
  readonly svid: X509Svid | undefined;
  readonly bundles: X509Bundles;
  readonly context: SecureContext;
}

/** OpenSSL believes any authority of any trust domain; `checkServerIdentity` then holds the peer to its own. */
function clientContextOptions(
  svid: X509Svid | undefined,
  bundles: X509Bundles,
  webPki: WebPki | undefined,
): SecureContextOptions {
  const options: SecureContextOptions = {
    ...(svid === undefined ? {} : keyAndCertificate(svid)),
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  if (webPki !== undefined)
    return { ...options, ...(webPki.ca === undefined ? {} : { ca: [webPki.ca].flat() }) };
  const authorities = [...bundles.values()].flatMap((bundle) => bundle.x509Authorities);
  const spiffe: SpiffeContextOptions = {
    ...options,
    ca: authorities.map((der) => encodePem('CERTIFICATE', der)),
    allowPartialTrustChain: true,
  };
  return spiffe;
}

function keyAndCertificate(presented: X509Svid | WebCertificate): WebCertificate {
  if ('cert' in presented) return { cert: presented.cert, key: presented.key };
  return {
    cert: presented.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(presented.privateKey)),
  };
}
