/** What signs: keys, the authorities that hold them, the issuers of SVIDs, and the server's own SVID. */
import { availableParallelism } from 'node:os';
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { DEFAULT_WIT_SVID_TTL_SECONDS } from '../api/svid/wit-svids.js';
import { AuthorityRotation } from '../authority/authority-rotation.js';
import { ServerSvid } from '../authority/server-svid.js';
import { createUpstreamAuthority } from '../authority/upstream/upstream-authorities.js';
import type { UpstreamAuthority } from '../authority/upstream/upstream-authority.js';
import type { ServerConfig } from '../configuration/server-config.js';
import { JwtSvidIssuance } from '../issuance/issue-jwt-svid.js';
import { WitSvidIssuance } from '../issuance/issue-wit-svid.js';
import { X509SvidIssuance } from '../issuance/issue-x509-svid.js';
import { X509SvidBatchIssuance } from '../issuance/issue-x509-svid-batches.js';
import type { JwtSvidIssuer } from '../issuance/jwt-svid-request.js';
import type { WitSvidIssuer } from '../issuance/wit-svid-request.js';
import type { X509SvidBatchIssuer, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import { countSigningThreads } from '../issuance/threads/count-signing-threads.js';
import { SigningThreads } from '../issuance/threads/signing-threads.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export interface Signing {
  readonly upstream: UpstreamAuthority | undefined;
  readonly authorities: AuthorityRotation;
  /** Of workloads' SVIDs. */
  readonly issuers: {
    readonly x509: X509SvidIssuer;
    readonly x509Batches: X509SvidBatchIssuer;
    readonly jwt: JwtSvidIssuer;
    readonly wit: WitSvidIssuer;
  };
  /** With a window of its own, for it signs inside transactions, which must not queue behind a storm of workload SVIDs. */
  readonly agentIssuer: X509SvidIssuer;
  readonly serverSvid: ServerSvid;
  /** Another one of this server, to be started. */
  readonly namedServerSvid: (dnsNames: readonly string[]) => ServerSvid;
  /** X.509-SVIDs of workloads that wait for their turn. */
  readonly waiting: () => number;
}

/** An authority of each kind and the server's SVID are there when this resolves. */
export async function startSigning(
  startup: Startup,
  { store }: Storage,
  { metrics: { issuance, upkeep, upstream: upstreamMetrics }, keyManager, tell }: Telemetry,
): Promise<Signing> {
  const { config, clock, log, background } = startup;
  const { server, plugins } = config;
  const trustDomain = server.trust_domain;
  const configured = await createUpstreamAuthority(plugins.UpstreamAuthority, {
    trustDomain,
    clock,
    log,
    environment: process.env,
  });
  const upstream = configured && upstreamMetrics.meter(configured);
  const authorities = new AuthorityRotation({
    trustDomain,
    store,
    keyManager,
    tell,
    clock,
    log,
    keyTypes: {
      x509: server.ca_key_type,
      jwt: server.jwt_key_type ?? server.ca_key_type,
      wit: server.experimental.wit_key_type ?? server.ca_key_type,
    },
    ttlSeconds: server.ca_ttl,
    subject: authoritySubject(server.ca_subject),
    upstream,
    onActivated: upkeep.authorityActivated.bind(upkeep),
  });
  await authorities.start(background.signal);
  const x509 = new X509SvidIssuance({ trustDomain, authorities, clock });
  const batches = startBatchIssuance(startup, authorities, x509);
  const issuers = {
    x509: issuance.meter('x509', x509),
    x509Batches: issuance.meterBatches(batches),
    jwt: issuance.meter(
      'jwt',
      new JwtSvidIssuance({ trustDomain, authorities, clock, issuer: server.jwt_issuer }),
    ),
    wit: issuance.meter('wit', new WitSvidIssuance({ trustDomain, authorities, clock })),
  };
  const agentIssuer = issuance.meter('x509_agent', new X509SvidIssuance({ trustDomain, authorities, clock }));
  const namedServerSvid = (dnsNames: readonly string[]): ServerSvid =>
    new ServerSvid({
      ...{ trustDomain, rotation: authorities, issuer: agentIssuer, dnsNames, clock, log },
      ttlSeconds: server.default_x509_svid_ttl,
    });
  const serverSvid = namedServerSvid([]);
  await serverSvid.start(background.signal);
  warnOfCutSvids(server, log);
  const waiting = (): number => batches.waiting;
  return { upstream, authorities, issuers, agentIssuer, serverSvid, namedServerSvid, waiting };
}

/** Threads start while the server does; until they are there the thread pool signs. */
function startBatchIssuance(
  { config: { server }, clock, log, shutdown, signingThreadProgram: program }: Startup,
  authorities: AuthorityRotation,
  mainThread: X509SvidIssuance,
): X509SvidBatchIssuance {
  const trustDomain = server.trust_domain;
  const count = countSigningThreads(server.experimental.signing_threads, availableParallelism());
  const threads =
    count === 0 ? undefined : new SigningThreads({ trustDomain, threads: count, clock, log, program });
  authorities.onRotation((active) => threads?.retireAllBut(active));
  const batches = new X509SvidBatchIssuance({ authorities, clock, log, mainThread, threads });
  shutdown.add(async () => {
    batches.close();
    await threads?.close();
  });
  log.debug({ signing_threads: count }, 'X.509-SVIDs are signed');
  return batches;
}

function authoritySubject(subject: ServerConfig['server']['ca_subject']): DistinguishedName | undefined {
  if (subject === undefined) return undefined;
  const { country, organization, common_name: commonName } = subject;
  return { country, organization, commonName: commonName || undefined };
}

/** An authority signs until a sixth of its life is left, and nothing that it signs outlives it. */
function warnOfCutSvids(server: ServerConfig['server'], log: Logger): void {
  const longestSeconds = server.ca_ttl / 6;
  for (const name of ['default_x509_svid_ttl', 'default_jwt_svid_ttl', 'agent_ttl'] as const) {
    if ((server[name] ?? 0) <= longestSeconds) continue;
    log.warn(
      `${name} is more than a sixth of ca_ttl: SVIDs signed late in an authority's life are cut short`,
    );
  }
  if (DEFAULT_WIT_SVID_TTL_SECONDS > longestSeconds) {
    log.warn(
      "the hour that WIT-SVIDs live is more than a sixth of ca_ttl: those signed late in an authority's life are cut short",
    );
  }
}
