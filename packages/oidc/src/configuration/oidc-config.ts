/** The provider's configuration file: the names of SPIRE's OIDC discovery provider, every unknown one refused. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { logLevelSchema } from '@bonafide/shared/config/log-level';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { acmeAccountSchema } from '@bonafide/shared/serving-certificate/acme/acme-account-schema';
import { parseDomain } from '@bonafide/shared/serving-certificate/domain-name';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { servableBy, telemetrySchema } from '@bonafide/shared/telemetry/telemetry-config';
import { z } from 'zod';
import { parseSocketAddress } from './socket-address.js';

const path = z.string().min(1);
const address = parsedString(parseSocketAddress);
const pollInterval = durationSchema.prefault('10s');
const urlPath = z
  .string()
  .regex(/^\/[A-Za-z0-9._~!$&'()*+,;=:@/-]*$/, 'is no path of a URL; expected for example /ready');

const acmeSchema = acmeAccountSchema.extend({
  /** Empty: nothing is kept, and every start orders a new certificate. */
  cache_dir: z.string().default('./.acme-cache'),
  addr: address.prefault(':443'),
});

const servingFilesSchema = z.strictObject({
  cert_file_path: path,
  key_file_path: path,
  file_sync_interval: durationSchema.prefault('1m'),
  addr: address.prefault(':443'),
});

const healthSchema = z.strictObject({
  /** SPIRE writes it as text. */
  bind_port: z
    .union([
      z.int(),
      z
        .string()
        .regex(/^\d{1,5}$/)
        .transform(Number),
    ])
    .pipe(z.int().min(0).max(65_535))
    .prefault(8008),
  live_path: urlPath.default('/live'),
  ready_path: urlPath.default('/ready'),
});

const fileSchema = z.strictObject({
  log_level: logLevelSchema.prefault('INFO'),
  log_format: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['', 'text', 'json']))
    .transform((format) => format || 'text')
    .prefault('text'),
  log_path: path.optional(),
  log_requests: z.boolean().default(false),
  domains: z.array(parsedString(parseDomain)).min(1).max(100),
  set_key_use: z.boolean().default(false),
  allow_insecure_scheme: z.boolean().default(false),
  insecure_addr: address.optional(),
  listen_socket_path: path.optional(),
  acme: acmeSchema.optional(),
  serving_cert_file: servingFilesSchema.optional(),
  server_api: z
    .strictObject({ address: parsedString(parseUnixAddress), poll_interval: pollInterval })
    .optional(),
  workload_api: z
    .strictObject({
      socket_path: path,
      poll_interval: pollInterval,
      trust_domain: parsedString(parseTrustDomainOrId),
    })
    .optional(),
  file: z.strictObject({ path, poll_interval: pollInterval }).optional(),
  health_checks: healthSchema.optional(),
  telemetry: telemetrySchema.omit({ OpenTelemetry: true }).superRefine(servableBy('oidc')).prefault({}),
  jwt_issuer: parsedString(parseWebUrl).optional(),
  jwks_uri: parsedString(parseWebUrl).optional(),
  server_path_prefix: urlPath.default('/'),
});

const LISTENERS = ['acme', 'serving_cert_file', 'listen_socket_path', 'insecure_addr'] as const;
const SOURCES = ['server_api', 'workload_api', 'file'] as const;

export const oidcConfigSchema = fileSchema.superRefine((config, context) => {
  for (const names of [LISTENERS, SOURCES]) {
    const given = names.filter((name) => config[name] !== undefined);
    if (given.length === 1) continue;
    const found = given.length === 0 ? 'none of them is there' : `${given.join(' and ')} are there`;
    const [, unwanted] = given;
    context.addIssue({
      code: 'custom',
      path: unwanted === undefined ? [] : [unwanted],
      message: `expected exactly one of ${names.join(', ')}; ${found}`,
    });
  }
  if (config.allow_insecure_scheme && (config.acme ?? config.serving_cert_file) !== undefined) {
    context.addIssue({
      code: 'custom',
      path: ['allow_insecure_scheme'],
      message: 'goes with insecure_addr or listen_socket_path only',
    });
  }
});

export type OidcConfig = z.output<typeof oidcConfigSchema>;

/** SPIRE knows gRPC's `unix` names only. */
function parseUnixAddress(text: string): string {
  const match = /^unix:(?:\/\/(?=\/))?(.+)$/.exec(text);
  if (match?.[1] === undefined) {
    throw invalidArgument(
      `${JSON.stringify(text)} is no Unix socket; expected for example unix:///tmp/spire-server/private/api.sock`,
    );
  }
  return match[1];
}

function parseWebUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['https:', 'http:'].includes(url.protocol) || url.host === '') {
    throw invalidArgument(
      `${JSON.stringify(text)} is no absolute URL; expected for example https://oidc.example.org`,
    );
  }
  // OpenID Connect Discovery section 3: an issuer has neither.
  if (url.search !== '' || url.hash !== '') throw invalidArgument(`${text} has a query or a fragment`);
  return url;
}
