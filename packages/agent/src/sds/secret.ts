/** One secret of Envoy's: a certificate with its key, or what to judge others' certificates by; encoded, with a version that tells when it changes. */
import { createHash } from 'node:crypto';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { CertificateValidationContext } from '@bonafide/shared/rpc/gen/envoy/extensions/transport_sockets/tls/v3/CertificateValidationContext';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { BundleForm } from './bundle-form.js';

export interface Secret {
  readonly name: string;
  /** Made of what is public in it: versions are logged by both ends. */
  readonly version: string;
  /** A google.protobuf.Any. */
  readonly resource: { readonly type_url: string; readonly value: Buffer };
}

const TYPE_PREFIX = 'type.googleapis.com/';
const SECRET = 'envoy.extensions.transport_sockets.tls.v3.Secret';
const VALIDATOR = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';
/** Under which Envoy registers the extension. */
const VALIDATOR_NAME = 'envoy.tls.cert_validator.spiffe';

export const SECRET_TYPE_URL = TYPE_PREFIX + SECRET;

export function svidSecret(name: string, { certificateChain, privateKey }: X509Svid): Secret {
  const value = loadMessage(SECRET).serialize({
    name,
    tlsCertificate: {
      certificateChain: { inlineBytes: certificatesPem(certificateChain) },
      privateKey: { inlineBytes: Buffer.from(encodePem('PRIVATE KEY', exportPkcs8(privateKey))) },
    },
  });
  return secretOf(name, value, ['svid', ...certificateChain]);
}

/** @param bundles each with authorities; more than one only for the SPIFFE validator. */
export function bundleSecret(name: string, bundles: readonly TrustBundle[], form: BundleForm): Secret {
  const validationContext = form === 'trusted_ca' ? trustedCa(bundles) : spiffeValidator(bundles);
  const value = loadMessage(SECRET).serialize({ name, validationContext });
  return secretOf(name, value, [
    form,
    ...bundles.flatMap((bundle) => [bundle.trustDomain, ...authoritiesOf(bundle)]),
  ]);
}

/** One version for several secrets, in their order. */
export function versionOf(secrets: readonly Secret[]): string {
  return digestOf(secrets.flatMap(({ name, version }) => [name, version]));
}

function trustedCa(bundles: readonly TrustBundle[]): CertificateValidationContext {
  return { trustedCa: { inlineBytes: certificatesPem(bundles.flatMap(authoritiesOf)) } };
}

function spiffeValidator(bundles: readonly TrustBundle[]): CertificateValidationContext {
  const value = loadMessage(VALIDATOR).serialize({
    trustDomains: bundles.map((bundle) => ({
      name: bundle.trustDomain,
      trustBundle: { inlineBytes: certificatesPem(authoritiesOf(bundle)) },
    })),
  });
  return {
    customValidatorConfig: {
      name: VALIDATOR_NAME,
      typedConfig: { type_url: TYPE_PREFIX + VALIDATOR, value },
    },
  };
}

function secretOf(name: string, value: Buffer, parts: readonly (Buffer | string)[]): Secret {
  return { name, version: digestOf(parts), resource: { type_url: SECRET_TYPE_URL, value } };
}

function authoritiesOf({ x509Authorities }: TrustBundle): readonly Buffer[] {
  return x509Authorities.map(({ certificate }) => certificate);
}

function certificatesPem(certificates: readonly Buffer[]): Buffer {
  return Buffer.from(certificates.map((der) => encodePem('CERTIFICATE', der)).join(''));
}

/** Each part with its length, so that no two lists look the same. */
function digestOf(parts: readonly (Buffer | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest('hex').slice(0, 32);
}
