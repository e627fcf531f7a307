/** The server's configuration file: SPIRE's names, every unknown one refused. */
import { isIP } from 'node:net';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { logLevelSchema } from '@bonafide/shared/config/log-level';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { healthConfigSchema } from '@bonafide/shared/http/health-config';
import { KEY_TYPES } from '@bonafide/shared/crypto/key-type';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';
import { accessSchema, strayRole } from '../access/access-config.js';
import { auditSchema } from '../audit/audit-config.js';
import { upstreamAuthoritySchema } from '../authority/upstream/upstream-authorities.js';
import { nodeAttestorsSchema } from '../node-attestation/attestors.js';
import { bundlePublishersSchema } from '../trust-bundle/publish/bundle-publishers.js';
import { dataStorePluginSchema, datastoreSchema } from './datastore-config.js';
import { DISCLOSURES } from '../workload-explanation/workload-explanations.js';
import { federationSchema } from './federation-config.js';
import { nodeAdmissionSchema } from './node-admission-config.js';
import { servableBy, telemetrySchema } from '@bonafide/shared/telemetry/telemetry-config';

export const DEFAULT_SOCKET_PATH = '/tmp/spire-server/private/api.sock';

const HOUR_SECONDS = 3600;
const LONGEST_DRAIN_SECONDS = 300;
const MOST_PER_SECOND = 1_000_000;

const ISSUER_MESSAGE = 'has a colon and is not a URI; expected for example https://oidc.example.org';

const perSecond = z.number().positive().max(MOST_PER_SECOND);
/** Certificates count in whole seconds. */
const timeToLive = durationSchema.refine((seconds) => seconds >= 1, {
  message: 'is shorter than a second; expected for example 1h',
});
const names = z.array(z.string().min(1)).max(16);

const rateLimitSchema = z.strictObject({
  /** Whether attestation is limited for each address. */
  attestation: z.boolean().default(true),
  /** Whether signing is limited for each address. */
  signing: z.boolean().default(true),
  attestation_per_second: perSecond.default(1),
  signing_per_second: z.int().positive().max(MOST_PER_SECOND).default(500),
  status_per_second: perSecond.default(10),
});

const serverSchema = z.strictObject({
  trust_domain: parsedString(parseTrustDomainOrId),
  bind_address: z.string().min(1).default('0.0.0.0'),
  /** 0: any free port, which is logged. */
  bind_port: z.int().min(0).max(65535).default(8081),
  socket_path: z.string().min(1).default(DEFAULT_SOCKET_PATH),
  data_dir: z.string().min(1).default('./.data'),
  log_level: logLevelSchema.prefault('INFO'),
  log_format: z.enum(['text', 'json']).default('text'),
  log_file: z.string().min(1).optional(),
  /** The short form of `audit.file.path`. */
  audit_log_path: z.string().min(1).optional(),
  ca_ttl: timeToLive.prefault('24h'),
  /** Of every kind of authority that is given no key type of its own. */
  ca_key_type: z.enum(KEY_TYPES).default('ec-p256'),
  jwt_key_type: z.enum(KEY_TYPES).optional(),
  ca_subject: z
    .strictObject({
      country: names.optional(),
      organization: names.optional(),
      /** Empty: none, as SPIRE's sample has it. */
      common_name: z.string().optional(),
    })
    .optional(),
  default_x509_svid_ttl: timeToLive.default(HOUR_SECONDS),
  default_jwt_svid_ttl: timeToLive.prefault('5m'),
  /** The `iss` claim of JWT-SVIDs; none when absent. */
  jwt_issuer: z.string().min(1).max(2048).refine(isStringOrUri, { message: ISSUER_MESSAGE }).optional(),
  /** The value of `default_x509_svid_ttl` when absent. */
  agent_ttl: timeToLive.optional(),
  /** Of this trust domain, or of one whose bundle is held. */
  admin_ids: z.array(parsedString(parseSpiffeId)).max(1000).default([]),
  ratelimit: rateLimitSchema.prefault({}),
  /** Addresses and CIDR ranges of load balancers, from behind which callers are not rate limited. */
  trusted_proxies: z.array(parsedString(parseAddressRange)).max(1000).default([]),
  experimental: z
    .strictObject({
      wit_key_type: z.enum(KEY_TYPES).optional(),
      /** Threads that sign X.509-SVIDs beside the main one; 0: the thread pool does. */
      signing_threads: z.union([z.literal('auto'), z.int().min(0).max(64)]).default('auto'),
    })
    .prefault({}),
  /** Over how long agents are asked to leave when the server stops; 0 does not ask them. */
  drain_spread: parsedString(parseDrainSpread).prefault('5s'),
  /** Undefined: expired agents are kept until an operator purges them. */
  prune_attested_nodes_expired_for: durationSchema.optional(),
  prune_attested_nodes_batch_size: z.int().positive().max(100_000).default(1000),
  /** Also agents that cannot attest again. */
  prune_tofu_nodes: z.boolean().default(false),
  max_connections: z.int().positive().max(1_000_000).default(15_000),
  /** What agents learn of entries that a workload of theirs matches and that they do not hold: nothing; why not; or also the IDs. */
  explain_to_agents: z.enum(DISCLOSURES).default('reasons'),
  node_admission: nodeAdmissionSchema.prefault({}),
  federation: federationSchema.prefault({}),
});

const keyManagerSchema = z
  .strictObject({
    disk: z.strictObject({ keys_path: z.string().min(1).optional() }).optional(),
    memory: z.strictObject({}).optional(),
  })
  .refine(({ disk, memory }) => disk === undefined || memory === undefined, {
    message: 'names two key managers; expected disk or memory',
  });

export const serverConfigSchema = z
  .strictObject({
    /** Or the plugin DataStore, as SPIRE has it. */
    datastore: datastoreSchema.optional(),
    server: serverSchema.refine(federatesWithOthers, {
      path: ['federation', 'federates_with'],
      message: 'names the trust domain of this server; its own bundle is never fetched',
    }),
    /** Roles of teams that share the trust domain. */
    access: accessSchema.prefault({}),
    /** What `server.audit_log_path` is the short form of. */
    audit: auditSchema.prefault({}),
    telemetry: telemetrySchema.superRefine(servableBy('server')).prefault({}),
    health_checks: healthConfigSchema.prefault({}),
    plugins: z
      .strictObject({
        KeyManager: keyManagerSchema.prefault({}),
        DataStore: dataStorePluginSchema.optional(),
        NodeAttestor: nodeAttestorsSchema.prefault({ join_token: {} }),
        /** None: the server is its own root. */
        UpstreamAuthority: upstreamAuthoritySchema.prefault({}),
        BundlePublisher: bundlePublishersSchema.prefault({}),
      })
      .prefault({}),
  })
  .refine(({ datastore, plugins }) => datastore === undefined || plugins.DataStore === undefined, {
    path: ['datastore'],
    message: 'is given beside plugins.DataStore; expected one of them',
  })
  .superRefine(({ access, server }, context) => {
    const stray = strayRole(access, server.trust_domain);
    if (stray !== undefined) context.addIssue({ code: 'custom', ...stray, path: [...stray.path] });
  });

export type ServerConfig = z.output<typeof serverConfigSchema>;

/** RFC 7519 section 2, StringOrURI: what has a colon is a URI. */
function isStringOrUri(text: string): boolean {
  return !text.includes(':') || URL.canParse(text);
}

function federatesWithOthers({ trust_domain: own, federation }: z.output<typeof serverSchema>): boolean {
  return !Object.hasOwn(federation.federates_with, own);
}

function parseDrainSpread(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 0 && seconds <= LONGEST_DRAIN_SECONDS) return seconds;
  throw invalidArgument(`${text} is not a duration from 0s to 5m`);
}

function parseAddressRange(text: string): string {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  const mostBits = version === 4 ? 32 : 128;
  const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= mostBits);
  if (version === 0 || !isRange || more.length > 0) {
    throw invalidArgument(`${JSON.stringify(text)} is neither an IP address nor a range such as 10.0.0.0/8`);
  }
  return text;
}
