/** Under which certificate the metrics are served, and who may read them: by SPIFFE ID, by an authority of the operator's, or anybody. */
import { readFile } from 'node:fs/promises';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { encodePem } from '../crypto/pem.js';
import { exportPkcs8 } from '../crypto/private-key-encoding.js';
import { parseX509SvidLeaf, verifyX509Svid } from '../crypto/verify-x509-svid.js';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { CertificateFiles } from '../serving-certificate/certificate-files.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import type { X509Svid } from '../svid/x509-svid.js';
import type { MetricsClient, MetricsCredentials, MetricsTls } from './metrics-endpoint.js';
import type { PrometheusTlsConfig } from './telemetry-config.js';

/** What the program lends. */
export interface MetricsIdentity {
  /** At this moment; undefined when the program has none. */
  readonly svid: CurrentSvid;
  readonly bundle: (trustDomain: TrustDomain) => TrustBundle | undefined;
  /** One of the server with DNS names beside its SPIFFE ID, kept new until the signal fires. @throws BonafideError when it cannot be signed. */
  readonly withDnsNames?: (names: readonly string[], signal: AbortSignal) => Promise<CurrentSvid>;
  /** One that the agent holds for an entry, until the signal fires. */
  readonly ofEntry?: (spiffeId: SpiffeId, signal: AbortSignal) => CurrentSvid;
}

/** Undefined while there is none. */
export type CurrentSvid = () => X509Svid | undefined;

export interface MetricsTlsOptions {
  readonly tls: PrometheusTlsConfig;
  /** Undefined: this program has no SVID of its own. */
  readonly identity: MetricsIdentity | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const POLL_SECONDS = 30;
const PLACE = 'telemetry.Prometheus.tls';

/** The files are followed until the signal fires. @throws BonafideError `failed_precondition` when one of them cannot be used. */
export async function createMetricsTls(options: MetricsTlsOptions, signal: AbortSignal): Promise<MetricsTls> {
  const { tls, identity } = options;
  if (identity === undefined && (tls.use_spire_svid || tls.authorized_spiffe_ids !== undefined)) {
    throw new BonafideError(
      'failed_precondition',
      `${PLACE}: this program has no SVID and no bundle of its own; expected cert_file, key_file and client_ca_file`,
    );
  }
  const clientAuthorities = tls.client_ca_file === undefined ? undefined : await readPem(tls.client_ca_file);
  const credentials =
    identity !== undefined && tls.use_spire_svid
      ? svidCredentials(await chosenSvid(tls, identity, signal), clientAuthorities)
      : await fileCredentials(options, clientAuthorities, signal);
  return { credentials, verifyClient: clientRule(options) };
}

function chosenSvid(
  { dns_names: dnsNames, spiffe_id: spiffeId }: PrometheusTlsConfig,
  { svid, withDnsNames, ofEntry }: MetricsIdentity,
  signal: AbortSignal,
): Promise<CurrentSvid> | CurrentSvid {
  if (dnsNames !== undefined) {
    if (withDnsNames !== undefined) return withDnsNames(dnsNames, signal);
    throw new BonafideError(
      'failed_precondition',
      `${PLACE}.dns_names: only a server can give itself names; expected spiffe_id, that of an entry with DNS names`,
    );
  }
  if (spiffeId === undefined) return svid;
  if (ofEntry !== undefined) return ofEntry(spiffeId, signal);
  throw new BonafideError(
    'failed_precondition',
    `${PLACE}.spiffe_id: this program has no entries; expected dns_names for names in its own SVID`,
  );
}

function svidCredentials(current: CurrentSvid, ca: string | undefined): () => MetricsCredentials | undefined {
  let made: { readonly of: X509Svid; readonly credentials: MetricsCredentials } | undefined;
  return () => {
    const svid = current();
    if (svid === undefined) return undefined;
    if (made?.of !== svid) {
      const cert = svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('');
      const key = encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey));
      made = { of: svid, credentials: { cert, key, ca } };
    }
    return made.credentials;
  };
}

async function fileCredentials(
  { tls, clock, log }: MetricsTlsOptions,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<() => MetricsCredentials | undefined> {
  const files = new CertificateFiles({
    certificatePath: tls.cert_file ?? '',
    privateKeyPath: tls.key_file ?? '',
    pollSeconds: POLL_SECONDS,
    clock,
    log,
  });
  let credentials: MetricsCredentials | undefined;
  files.onChange(({ cert, key }) => {
    credentials = { cert, key, ca };
  });
  await files.start(signal);
  return () => credentials;
}

function clientRule({ tls, identity, clock }: MetricsTlsOptions): MetricsTls['verifyClient'] {
  const { authorized_spiffe_ids: ids } = tls;
  if (ids !== undefined && identity !== undefined) {
    const authorized = new Set(ids);
    return (client) => {
      checkSpiffeId(client, authorized, identity, clock.now());
    };
  }
  if (tls.client_ca_file === undefined) return () => undefined;
  return ({ isUnderAuthority }) => {
    if (isUnderAuthority) return;
    throw new BonafideError('unauthenticated', 'it has no certificate under client_ca_file');
  };
}

function checkSpiffeId(
  { chain }: MetricsClient,
  authorized: ReadonlySet<SpiffeId>,
  identity: MetricsIdentity,
  now: Date,
): void {
  const [leaf] = chain;
  if (leaf === undefined) throw new BonafideError('unauthenticated', 'it has no certificate');
  // Not verified yet: it only chooses the bundle that must then vouch for it.
  const trustDomain = trustDomainOf(parseX509SvidLeaf(leaf).spiffeId);
  const bundle = identity.bundle(trustDomain);
  if (bundle === undefined) {
    throw new BonafideError('unauthenticated', `no bundle of trust domain ${trustDomain} is held`);
  }
  const { spiffeId } = verifyX509Svid({
    chain,
    authorities: bundle.x509Authorities.map(({ certificate }) => certificate),
    now,
    trustDomain,
  });
  if (authorized.has(spiffeId)) return;
  throw new BonafideError('permission_denied', `${spiffeId} is not one of authorized_spiffe_ids`);
}

async function readPem(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('there is no PEM certificate in it');
    return text;
  } catch (error) {
    throw new BonafideError(
      'failed_precondition',
      `${PLACE}.client_ca_file ${path} cannot be used: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}
