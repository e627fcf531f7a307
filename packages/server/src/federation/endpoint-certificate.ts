/** With which certificate our bundle endpoint authenticates itself: by its profile (SPIFFE Federation section 5.2). */
import { join } from 'node:path';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { AcmeCertificate } from '@bonafide/shared/serving-certificate/acme/acme-certificate';
import { CertificateFiles } from '@bonafide/shared/serving-certificate/certificate-files';
import type { ServingCertificate } from '@bonafide/shared/serving-certificate/serving-certificate';
import type { ServerSvid } from '../authority/server-svid.js';
import type { FederationConfig } from '../configuration/federation-config.js';
import { svidCertificate } from './svid-certificate.js';

type ServedProfile = NonNullable<FederationConfig['bundle_endpoint']>['profile'];

export interface EndpointCertificateParts {
  readonly serverSvid: Pick<ServerSvid, 'current' | 'onUpdate'>;
  /** Where an ACME account and its certificates are kept. */
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createEndpointCertificate(
  { https_web: web }: ServedProfile,
  { serverSvid, dataFolder, clock, log }: EndpointCertificateParts,
): ServingCertificate {
  if (web?.serving_cert_file !== undefined) {
    const { cert_file_path: certificatePath, key_file_path: privateKeyPath, ...rest } = web.serving_cert_file;
    const pollSeconds = rest.file_sync_interval;
    return new CertificateFiles({ certificatePath, privateKeyPath, pollSeconds, clock, log });
  }
  if (web?.acme !== undefined) {
    const { directory_url: directoryUrl, domain_name: domain, email } = web.acme;
    return new AcmeCertificate({
      directoryUrl,
      email,
      domains: [domain],
      cacheFolder: join(dataFolder, 'bundle-acme'),
      clock,
      log,
    });
  }
  return svidCertificate(serverSvid);
}
