/** Constructs the agent from its configuration and runs it: the one place that knows all of its parts. */
import { join, resolve } from 'node:path';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { checkSocketPath } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { Agent } from '../agent.js';
import type { AgentConfig } from '../configuration/agent-config.js';
import { AdminEndpoint } from '../endpoints/admin-endpoint.js';
import { addSurvivalService } from '../endpoints/admin-survival.js';
import { inheritedSocket } from '../endpoints/inherited-socket.js';
import { createWorkloadEndpoint } from '../endpoints/workload-endpoint.js';
import { Quarantine } from '../quarantine/quarantine.js';
import { AuthorizedEntries } from '../sync/authorized-entries.js';
import { EntrySync } from '../sync/entry-sync.js';
import { ServerJwtSigner } from '../sync/sign-jwt-svid.js';
import { ServerWitSigner } from '../sync/sign-wit-svids.js';
import { ServerSigner } from '../sync/sign-x509-svids.js';
import { StateFile } from '../sync/state-file.js';
import { NodeSurvival } from '../survival/node-survival.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { SvidFiles } from '../svid-renewal/svid-files.js';
import { SvidRenewal } from '../svid-renewal/svid-renewal.js';
import { isSignedBy, newlyTainted, taintedKeyIds, withdrawnKeyIds } from '../svid-renewal/tainted-svids.js';
import { JwtSvids } from '../token-svids/jwt-svids.js';
import { WitSvids } from '../token-svids/wit-svids.js';
import { agentVersion } from '../version.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { createWorkloadAttestors } from '../workload-attestation/attestors.js';
import { createServerSide } from './server-side.js';
import { endpointLimits } from './settings.js';

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
  const cache = new SvidCache({
    trustDomain,
    clock,
    log,
    maximumPrefetched: agent.x509_svid_cache_max_size,
  });
  const side = await createServerSide({
    config,
    dataDirectory,
    keyDirectory: keepsKeys ? keyDirectory : undefined,
    isTainted: (svid) => isSignedBy(svid, taintedKeyIds(cache.bundle(trustDomain))),
    onQuarantined: (why) => {
      // What the server knows of the node may be old.
      if (quarantine.enter(why) && side.attestor.prove !== undefined) side.prover.request();
    },
    policy,
    random,
    clock,
    log,
  });
  const { connection, explain, keeper, prover, rebootstrap, reportFailure, trust } = side;
  const files = keepsKeys
    ? {
        svids: new SvidFiles({ directory: join(keyDirectory, 'svids'), log }),
        state: new StateFile({ path: join(dataDirectory, 'authorized-entries.state'), clock, log }),
      }
    : undefined;
  const calls = { connection, reportRefusal: reportFailure };
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
      void renewal.replaceSignedBy(withdrawnKeyIds(before, after));
      const tainted = newlyTainted(before, after);
      if (tainted.size === 0) return;
      log.warn({ subjectKeyIds: [...tainted] }, 'an authority is tainted; replacing the SVIDs under it');
      void renewal.replaceSignedBy(tainted);
      keeper.review();
    },
    log,
  });
  const quarantine = new Quarantine({
    withdraw: () => {
      entries.withdraw();
      jwtSvids.review();
      witSvids.review();
      sync.startOver();
    },
    erase: async () => {
      await files?.svids.clear();
      await files?.state.flush();
    },
    log,
  });
  const sync = new EntrySync({
    connection,
    cache,
    apply: (change, cursor) => {
      quarantine.leave();
      entries.apply(change, cursor);
      jwtSvids.review();
      witSvids.review();
    },
    cursor: entries.cursor.bind(entries),
    reportRefusal: reportFailure,
    explain,
    onProofRequest: () => {
      prover.request();
    },
    turn: () => quarantine.settled(),
    onConnected: () => {
      rebootstrap.confirm();
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
    rebootstrap,
    keeper,
    prover,
    quarantine,
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
