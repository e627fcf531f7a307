/** The server's own X.509-SVID as the certificate of its bundle endpoint (SPIFFE Federation section 5.2.2.3), rotation and all. */
import type { CertificatePair } from '@bonafide/shared/crypto/certificate-pair';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { ServingCertificate } from '@bonafide/shared/serving-certificate/serving-certificate';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { ServerSvid } from '../authority/server-svid.js';

export function svidCertificate(serverSvid: Pick<ServerSvid, 'current' | 'onUpdate'>): ServingCertificate {
  return {
    current: () => certificatePair(serverSvid.current()),
    onChange: (listener) =>
      serverSvid.onUpdate((svid) => {
        listener(certificatePair(svid));
      }),
    start: () => Promise.resolve(), // it is kept fresh for the server's own sake
  };
}

function certificatePair({ certificateChain, privateKey }: X509Svid): CertificatePair {
  return {
    cert: certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(privateKey)),
  };
}
