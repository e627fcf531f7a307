/** The agent's configuration file: SPIRE's names, every unknown one refused. */
import { dirname, join, resolve } from 'node:path';
import { durationSchema } from '@bonafide/shared/config/duration';
import { logLevelSchema } from '@bonafide/shared/config/log-level';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { KEY_TYPES } from '@bonafide/shared/crypto/key-type';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { servableBy, telemetrySchema } from '@bonafide/shared/telemetry/telemetry-config';
import { z } from 'zod';
import { apiSwitchesSchema } from '../apis/api-switches.js';
import { brokerConfigSchema } from '../broker/broker-config.js';
import { healthConfigSchema } from '@bonafide/shared/http/health-config';
import { REBOOTSTRAP_MODES } from '../agent-identity/rebootstrap.js';
import { parseServerAddress } from '../agent-identity/server-address.js';
import { agentHelpersSchema } from '../helper/helper-config.js';
import { nodeAttestorSchema } from '../node-attestation/attestors.js';
import { sdsConfigSchema } from '../sds/sds-config.js';
import { svidStoresConfigSchema } from '../svid-store/svid-stores.js';
import { workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import { SELECTOR_LOGGING } from '../workload-attestation/shown-selectors.js';
import { DEFAULT_SOCKET_PATH } from './default-socket-path.js';

const LEAST_AVAILABILITY_TARGET_SECONDS = 24 * 3600;
const MOST_SVIDS = 1_000_000;
const MOST_SERVERS = 100;

const limit = z.int().positive().max(1_000_000);

const limitsSchema = z.strictObject({
  max_connections: limit.optional(),
  max_connections_per_uid: limit.optional(),
  max_streams_per_connection: limit.optional(),
  max_streams_per_uid: limit.optional(),
  calls_per_second_per_uid: limit.optional(),
  max_attestations_per_uid: limit.optional(),
});

const agentSchema = z
  .strictObject({
    trust_domain: parsedString(parseTrustDomainOrId),
    /** A DNS name or an IP address; with `server_port`, as SPIRE has it, for one server. */
    server_address: z.string().min(1).optional(),
    server_port: z.int().min(1).max(65535).optional(),
    /** `host:port` of each server of the trust domain, in place of the two above. */
    server_addresses: z.array(parsedString(parseServerAddress)).min(1).max(MOST_SERVERS).optional(),
    socket_path: z.string().min(1).default(DEFAULT_SOCKET_PATH),
    /** Undefined: there is none. */
    admin_socket_path: z.string().min(1).optional(),
    /** SPIFFE IDs of whoever may use the Delegated Identity API; none: the admin socket is for its owner alone. */
    authorized_delegates: z.array(parsedString(parseSpiffeId)).max(1000).default([]),
    /** With delegates: of the admin socket, in octal; 0660 unless told. */
    admin_socket_mode: parsedString(parseSocketMode).optional(),
    /** With delegates: the number of the group that may reach the admin socket; the agent's own unless told. */
    admin_socket_group: z.int().min(0).max(4_294_967_294).optional(),
    broker: brokerConfigSchema.optional(),
    apis: apiSwitchesSchema.prefault({}),
    data_dir: z.string().min(1).default('.'),
    trust_bundle_path: z.string().min(1).optional(),
    trust_bundle_url: parsedString(parseHttpsUrl).optional(),
    trust_bundle_format: z.enum(['pem', 'spiffe']).default('pem'),
    /** Believes whatever server answers first. For tests and trials only. */
    insecure_bootstrap: z.boolean().default(false),
    /** What to do when the server's certificate is not under the bundle that is held: go back to the source above, if that helps. */
    rebootstrap_mode: z.enum(REBOOTSTRAP_MODES).default('never'),
    /** How long the server must have been a stranger before. */
    rebootstrap_delay: durationSchema.prefault('10m'),
    join_token: z.string().min(1).optional(),
    join_token_file: z.string().min(1).optional(),
    log_level: logLevelSchema.prefault('INFO'),
    log_format: z.enum(['text', 'json']).default('text'),
    log_file: z.string().min(1).optional(),
    workload_x509_svid_key_type: z.enum(KEY_TYPES).default('ec-p256'),
    /** Undefined: as of X.509-SVIDs. */
    workload_wit_svid_key_type: z.enum(KEY_TYPES).optional(),
    /** How long workloads are to hold out without a server; an SVID is renewed when only this much of its life is left. */
    availability_target: durationSchema.optional(),
    /** SVIDs that are obtained before a workload asks for them; those asked for are always held. */
    x509_svid_cache_max_size: z.int().min(0).max(MOST_SVIDS).default(1000),
    /** JWT-SVIDs that are kept in memory, each for one entry and audience. */
    jwt_svid_cache_max_size: z.int().min(1).max(MOST_SVIDS).default(1000),
    /** Gives our own bundle to callers that have no identity. */
    allow_unauthenticated_verifiers: z.boolean().default(false),
    /** Claims of other trust domains' JWT-SVIDs that are returned besides `sub`, `aud` and `exp`. */
    allowed_foreign_jwt_claims: z.array(z.string().min(1)).max(100).default([]),
    /** How the selectors of a process are written to the log. */
    log_selectors: z.enum(SELECTOR_LOGGING).default('redacted'),
    /** Also tells a process that asks about itself which selectors it lacks, and what the server knows: a help for intruders too. */
    explain_to_workloads: z.boolean().default(false),
    /** What callers of the Workload API may use at once; what is absent follows from the open files limit. */
    limits: limitsSchema.prefault({}),
    /** Identities that the agent itself keeps in files, for programs that only read files. */
    helpers: agentHelpersSchema.prefault([]),
    sds: sdsConfigSchema.prefault({}),
  })
  .superRefine((agent, context) => {
    const problem = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    const sources = [
      agent.trust_bundle_path === undefined ? [] : ['trust_bundle_path'],
      agent.trust_bundle_url === undefined ? [] : ['trust_bundle_url'],
      agent.insecure_bootstrap ? ['insecure_bootstrap'] : [],
    ].flat();
    if (sources.length === 0) {
      problem(
        'trust_bundle_path',
        'is missing; expected trust_bundle_path, trust_bundle_url or insecure_bootstrap',
      );
    } else if (sources.length > 1) {
      problem(sources[1] ?? '', `cannot be set together with ${sources[0] ?? ''}; expected one of them`);
    }
    if (agent.insecure_bootstrap && agent.rebootstrap_mode !== 'never') {
      problem(
        'rebootstrap_mode',
        'cannot be set together with insecure_bootstrap; expected trust_bundle_path or trust_bundle_url',
      );
    }
    if (agent.join_token !== undefined && agent.join_token_file !== undefined) {
      problem('join_token_file', 'cannot be set together with join_token; expected one of them');
    }
    if (
      agent.availability_target !== undefined &&
      agent.availability_target < LEAST_AVAILABILITY_TARGET_SECONDS
    ) {
      problem('availability_target', 'is too short; expected at least 24h');
    }
    // Whoever may enter that folder must not come across the other socket, as SPIRE has it.
    const adminPath = agent.admin_socket_path;
    const publicFolder = dirname(resolve(agent.socket_path));
    if (adminPath !== undefined && resolve(adminPath).startsWith(join(publicFolder, '/'))) {
      problem('admin_socket_path', `must not be in ${publicFolder}, the folder of socket_path, or below it`);
    }
    const brokerPath = agent.broker?.socket_path;
    if (brokerPath !== undefined && dirname(resolve(brokerPath)) === publicFolder) {
      problem('broker', `must not have its socket_path in ${publicFolder}, the folder of socket_path`);
    }
    for (const key of ['admin_socket_mode', 'admin_socket_group'] as const) {
      if (agent[key] !== undefined && agent.authorized_delegates.length === 0) {
        problem(key, 'is for delegates; expected authorized_delegates with it');
      }
    }
    if (adminPath === undefined && agent.authorized_delegates.length > 0) {
      problem('authorized_delegates', 'need a socket; expected admin_socket_path with them');
    }
    for (const key of ['server_address', 'server_port'] as const) {
      if (agent.server_addresses === undefined) {
        if (agent[key] === undefined) problem(key, 'is missing; expected it, or server_addresses');
      } else if (agent[key] !== undefined) {
        problem(key, 'cannot be set together with server_addresses; expected one of them');
      }
    }
  })
  .transform(({ server_address: host, server_port: port, server_addresses: listed, ...agent }) => ({
    ...agent,
    servers: listed ?? (host === undefined || port === undefined ? [] : [{ host, port }]),
  }));

const keyManagerSchema = z
  .strictObject({
    /** Undefined `directory`: the agent's `data_dir`. */
    disk: z.strictObject({ directory: z.string().min(1).optional() }).optional(),
    /** No private key is written anywhere; after a restart the agent attests anew. */
    memory: z.strictObject({}).optional(),
  })
  .refine(({ disk, memory }) => disk === undefined || memory === undefined, {
    message: 'names two key managers; expected disk or memory',
  });

export const agentConfigSchema = z
  .strictObject({
    agent: agentSchema,
    health_checks: healthConfigSchema.prefault({}),
    telemetry: telemetrySchema.superRefine(servableBy('agent')).prefault({}),
    plugins: z
      .strictObject({
        NodeAttestor: nodeAttestorSchema.prefault({ join_token: {} }),
        KeyManager: keyManagerSchema.prefault({ disk: {} }),
        WorkloadAttestor: workloadAttestorsConfigSchema.prefault({ unix: {} }),
        SVIDStore: svidStoresConfigSchema.prefault({}),
      })
      .prefault({}),
  })
  .refine(
    ({ agent, plugins }) =>
      agent.rebootstrap_mode !== 'always' || plugins.NodeAttestor.join_token === undefined,
    {
      path: ['agent', 'rebootstrap_mode'],
      message: 'cannot be always with join_token, which proves a node only once; expected auto or never',
    },
  )
  .superRefine(({ agent, plugins }, context) => {
    const store = plugins.SVIDStore.directory?.directory;
    if (store === undefined) return;
    // The store takes away what no entry with store_svid names.
    for (const [index, { directory }] of agent.helpers.entries()) {
      if (!join(directory, '/').startsWith(join(resolve(store), '/'))) continue;
      const message = `is in ${store}, which is the SVID store's own; expected another folder`;
      context.addIssue({ code: 'custom', path: ['agent', 'helpers', index, 'cert_dir'], message });
    }
  });

export type AgentConfig = z.output<typeof agentConfigSchema>;
/** As it stands in the file. */
export type AgentConfigKey = keyof z.input<typeof agentSchema>;

function parseSocketMode(text: string): number {
  if (/^0[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  throw invalidArgument(`${JSON.stringify(text)} is no file mode; expected one such as "0660"`);
}

function parseHttpsUrl(text: string): string {
  if (URL.canParse(text) && new URL(text).protocol === 'https:') return text;
  throw invalidArgument(`${JSON.stringify(text)} is no https:// URL`);
}
