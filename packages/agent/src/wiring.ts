/** Constructs the agent from its configuration and runs it: the one place that knows all of its parts. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { checkSocketPath } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { Agent } from './agent.js';
import { BundleFile } from './agent-identity/bundle-file.js';
import { explainFailure } from './agent-identity/explain-failure.js';
import { IdentityFile, IdentityMemory } from './agent-identity/identity-file.js';
import { IdentityKeeper } from './agent-identity/identity-keeper.js';
import { ServerConnection } from './agent-identity/server-connection.js';
import type { AgentConfig } from './configuration/agent-config.js';
import { AdminEndpoint } from './endpoints/admin-endpoint.js';
import { addSurvivalService } from './endpoints/admin-survival.js';
import type { EndpointLimits } from './endpoints/endpoint-limits.js';
import { inheritedSocket } from './endpoints/inherited-socket.js';
import { createWorkloadEndpoint } from './endpoints/workload-endpoint.js';
import { attestAgent } from './node-attestation/attest-agent.js';
import { createNodeAttestor } from './node-attestation/attestors.js';
import type { BootstrapSource } from './node-attestation/bootstrap-bundle.js';
import { ServerTrust } from './node-attestation/server-trust.js';
import { AuthorizedEntries } from './sync/authorized-entries.js';
import { EntrySync } from './sync/entry-sync.js';
import { ServerJwtSigner } from './sync/sign-jwt-svid.js';
import { ServerWitSigner } from './sync/sign-wit-svids.js';
import { ServerSigner } from './sync/sign-x509-svids.js';
import { StateFile } from './sync/state-file.js';
import { NodeSurvival } from './survival/node-survival.js';
import { SvidCache } from './svid-cache/svid-cache.js';
import { SvidFiles } from './svid-renewal/svid-files.js';
import { SvidRenewal } from './svid-renewal/svid-renewal.js';
import { isSignedBy, newlyTainted, taintedKeyIds } from './svid-renewal/tainted-svids.js';
import { JwtSvids } from './token-svids/jwt-svids.js';
import { WitSvids } from './token-svids/wit-svids.js';
import { agentVersion } from './version.js';
import { createWorkloadAttestation } from './workload-attestation/attest-workload.js';
import { createWorkloadAttestors } from './workload-attestation/attestors.js';

export interface AgentSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  /** Stops the agent in good order. */
  readonly signal: AbortSignal;
  /** A number in [0, 1); so that tests are repeatable. */
  readonly random?: () => number;
  /** Of this process, in which a service manager names a socket that it hands over. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs until the signal fires.
 * @throws BonafideError when the agent cannot start or go on.
 */
export async function runAgent(config: AgentConfig, surroundings: AgentSurroundings): Promise<void> {
  const { clock, log, signal, random = Math.random, environment = {} } = surroundings;
  const { agent, plugins } = config;
  const trustDomain = agent.trust_domain;
  const version = agentVersion();
  const dataDirectory = resolve(agent.data_dir);
  const keepsKeys = plugins.KeyManager.memory === undefined;
  const keyDirectory = resolve(plugins.KeyManager.disk?.directory ?? dataDirectory);
  log.info({ version, dataDirectory, trustDomain }, 'starting agent');
  await prepareDataFolder('data_dir', dataDirectory);
  await prepareDataFolder('KeyManager.disk.directory', keyDirectory);
  const socketPath = resolve(agent.socket_path);
  const inheritedFd = inheritedSocket(environment, process.pid);
  // Before a token is spent on an agent that cannot serve.
  if (inheritedFd === undefined) checkSocketPath(socketPath);
  const adminSocketPath =
    agent.admin_socket_path === undefined ? undefined : resolve(agent.admin_socket_path);
  if (adminSocketPath !== undefined) checkSocketPath(adminSocketPath);

  const policy = { availabilityTargetSeconds: agent.availability_target, random };
  const connection = new ServerConnection({ addresses: agent.servers, trustDomain, random });
  const trust = new ServerTrust({
    source: bootstrapSource(agent),
    trustDomain,
    file: new BundleFile({ path: join(dataDirectory, 'trust-bundle.json'), trustDomain, log }),
    connection,
    log,
  });
  const explain = (error: unknown): string =>
    explainFailure(error, { address: connection.failedAddress, bundlePlace: trust.place });
  const attestor = createNodeAttestor(plugins.NodeAttestor, {
    trustDomain,
    joinToken: await readJoinToken(agent),
    clock,
    log,
  });
  const cache = new SvidCache({
    trustDomain,
    clock,
    log,
    maximumPrefetched: agent.x509_svid_cache_max_size,
  });
  const keeper = new IdentityKeeper({
    connection,
    storage: keepsKeys
      ? new IdentityFile({ path: join(keyDirectory, 'agent-svid.json'), trustDomain, log })
      : new IdentityMemory(),
    attest: async (scope) => {
      await trust.establish(scope);
      return attestAgent({ connection, attestor, trustDomain, signal: scope });
    },
    canAttest: () => !attestor.isSpent,
    isTainted: (svid) => isSignedBy(svid, taintedKeyIds(cache.bundle(trustDomain))),
    explain,
    policy,
    clock,
    log,
  });
  const files = keepsKeys
    ? {
        svids: new SvidFiles({ directory: join(keyDirectory, 'svids'), log }),
        state: new StateFile({ path: join(dataDirectory, 'authorized-entries.state'), clock, log }),
      }
    : undefined;
  const reportRefusal = keeper.reportRefusal.bind(keeper);
  const calls = { connection, reportRefusal };
  const renewal = new SvidRenewal({
    cache,
    signer: new ServerSigner(calls),
    keeping: files?.svids,
    keyType: agent.workload_x509_svid_key_type,
    turn: () => keeper.goesFirst(),
    onRecovered: () => {
      sync.retryNow();
    },
    policy,
    clock,
    log,
  });
  const jwtSvids = new JwtSvids({
    cache,
    signer: new ServerJwtSigner(calls),
    maximumKept: agent.jwt_svid_cache_max_size,
    random,
    clock,
    log,
    signal,
  });
  const witSvids = new WitSvids({
    cache,
    signer: new ServerWitSigner(calls),
    keyType: agent.workload_wit_svid_key_type ?? agent.workload_x509_svid_key_type,
    random,
    clock,
    log,
  });
  const entries = new AuthorizedEntries({
    cache,
    trustDomain,
    file: files?.state,
    agentId: () => keeper.svid?.spiffeId,
    onOwnBundle: (before, after) => {
      void trust.follow(after);
      const tainted = newlyTainted(before, after);
      if (tainted.size === 0) return;
      log.warn({ subjectKeyIds: [...tainted] }, 'an authority is tainted; replacing the SVIDs under it');
      void renewal.replaceSignedBy(tainted);
      keeper.review();
    },
    log,
  });
  const sync = new EntrySync({
    connection,
    cache,
    apply: (change, cursor) => {
      entries.apply(change, cursor);
      jwtSvids.review();
      witSvids.review();
    },
    cursor: entries.cursor.bind(entries),
    reportRefusal,
    explain,
    onConnected: () => {
      keeper.retryNow();
      renewal.retryNow();
      witSvids.retryNow();
    },
    agentVersion: version,
    random,
    clock,
    log,
  });
  const attestors = createWorkloadAttestors(plugins.WorkloadAttestor, {
    log,
    passwdPath: '/etc/passwd',
    groupPath: '/etc/group',
  });
  const endpoint = createWorkloadEndpoint({
    socketPath,
    inheritedFd,
    identities: cache,
    jwtSvids,
    witSvids,
    policy: {
      allowsUnauthenticatedVerifiers: agent.allow_unauthenticated_verifiers,
      allowedForeignJwtClaims: agent.allowed_foreign_jwt_claims,
    },
    attest: createWorkloadAttestation({ attestors, clock, log }),
    clock,
    log,
    limits: endpointLimits(agent.limits),
  });
  const survival = new NodeSurvival({
    ...{ cache, keeper, sync, connection, jwtSvids, witSvids, clock },
    targetSeconds: agent.availability_target,
  });
  const admin =
    adminSocketPath === undefined
      ? undefined
      : new AdminEndpoint({
          socketPath: adminSocketPath,
          services: [
            (server) => {
              addSurvivalService(server, { survival, log });
            },
          ],
          clock,
          log,
        });
  const parts = {
    trust,
    keeper,
    connection,
    cache,
    renewal,
    witSvids,
    entries,
    sync,
    endpoint,
    admin,
    files,
  };
  await new Agent({ ...parts, explain, random, clock, log }).run(signal);
  log.info('agent stopped');
}

function bootstrapSource(agent: AgentConfig['agent']): BootstrapSource {
  const format = agent.trust_bundle_format;
  if (agent.trust_bundle_path !== undefined) {
    return { kind: 'file', path: resolve(agent.trust_bundle_path), format };
  }
  if (agent.trust_bundle_url !== undefined) return { kind: 'url', url: agent.trust_bundle_url, format };
  return { kind: 'insecure' };
}

async function readJoinToken(agent: AgentConfig['agent']): Promise<string | undefined> {
  const path = agent.join_token_file;
  if (path === undefined) return agent.join_token;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw invalidArgument(`cannot read the join token file ${path}: ${errorMessage(error)}`, error);
  }
  const token = text.trim();
  if (token === '') throw invalidArgument(`the join token file ${path} is empty`);
  return token;
}

function endpointLimits(limits: AgentConfig['agent']['limits']): Partial<EndpointLimits> {
  return Object.fromEntries(
    Object.entries({
      maxConnections: limits.max_connections,
      maxConnectionsPerUid: limits.max_connections_per_uid,
      maxStreamsPerConnection: limits.max_streams_per_connection,
      maxStreamsPerUid: limits.max_streams_per_uid,
    }).filter(([, value]) => value !== undefined),
  );
}
