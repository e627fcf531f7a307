/** With which certificate our bundle endpoint authenticates itself: by its profile (SPIFFE Federation section 5.2). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { CertificateFiles } from '@bonafide/shared/serving-certificate/certificate-files';
import type { ServingCertificate } from '@bonafide/shared/serving-certificate/serving-certificate';
import type { ServerSvid } from '../authority/server-svid.js';
import type { FederationConfig } from '../configuration/federation-config.js';
import { svidCertificate } from './svid-certificate.js';

type ServedProfile = NonNullable<FederationConfig['bundle_endpoint']>['profile'];

export interface EndpointCertificateParts {
  readonly serverSvid: Pick<ServerSvid, 'current' | 'onUpdate'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createEndpointCertificate(
  { https_web: web }: ServedProfile,
  { serverSvid, clock, log }: EndpointCertificateParts,
): ServingCertificate {
  if (web === undefined) return svidCertificate(serverSvid);
  const { serving_cert_file: files } = web;
  if (files === undefined) {
    throw new BonafideError('unimplemented', 'acme is not offered yet; use serving_cert_file');
  }
  return new CertificateFiles({
    certificatePath: files.cert_file_path,
    privateKeyPath: files.key_file_path,
    pollSeconds: files.file_sync_interval,
    clock,
    log,
  });
}
