/** Constructs the agent from its configuration and runs it: the one place that knows all of its parts. */
import { join, resolve } from 'node:path';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { silentNotice, type ServiceNotice } from '@bonafide/shared/runtime/service-notice';
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import { liveLog } from '@bonafide/shared/config/live-log';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { Agent } from '../agent.js';
import type { AgentConfig } from '../configuration/agent-config.js';
import { DepartedEntries } from '../explain/departed-entries.js';
import { Quarantine } from '../quarantine/quarantine.js';
import { AuthorizedEntries } from '../sync/authorized-entries.js';
import { EntrySync } from '../sync/entry-sync.js';
import { ServerJwtSigner } from '../sync/sign-jwt-svid.js';
import { reportSightings } from '../sync/report-sightings.js';
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
import { SelectorSightings } from '../selector-sightings/selector-sightings.js';
import { openTracer } from '@bonafide/shared/telemetry/open-tracer';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { AgentMetrics } from '../telemetry/agent-metrics.js';
import { createFileOutputs } from './file-outputs.js';
import { createLocalApis } from './local-apis.js';
import { startMetrics } from './metrics.js';
import { createServerSide } from './server-side.js';
import { socketPaths } from './settings.js';

export interface AgentSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: what is configured stays until the agent ends. */
  readonly live?: LiveConfig<AgentConfig> | undefined;
  /** Stops the agent in good order. */
  readonly signal: AbortSignal;
  /** A number in [0, 1); so that tests are repeatable. */
  readonly random?: () => number;
  /** Of this process, in which a service manager names a socket that it hands over. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Told when workloads are served. */
  readonly notice?: ServiceNotice;
}

/**
 * Runs until the signal fires.
 * @throws BonafideError when the agent cannot start or go on.
 */
export async function runAgent(config: AgentConfig, surroundings: AgentSurroundings): Promise<void> {
  const { clock, log, signal, random = Math.random, environment = {}, notice = silentNotice } = surroundings;
  const { agent, plugins } = config;
  addLiveLog(surroundings, config);
  const trustDomain = agent.trust_domain;
  const version = programVersion();
  const dataDirectory = resolve(agent.data_dir);
  const keepsKeys = plugins.KeyManager.memory === undefined;
  const keyDirectory = resolve(plugins.KeyManager.disk?.directory ?? dataDirectory);
  log.info({ version, dataDirectory, trustDomain }, 'Starting agent');
  notice.status('Waiting for the server to say what workloads are entitled to');
  await prepareDataFolder('data_dir', dataDirectory);
  await prepareDataFolder('KeyManager.disk.directory', keyDirectory);
  // Before a token is spent on an agent that cannot serve.
  const sockets = socketPaths(agent, environment);

  const policy = { availabilityTargetSeconds: agent.availability_target, random };
  const metrics = new AgentMetrics(clock);
  const traces = await openTracer({
    ...{ config: config.telemetry.OpenTelemetry, program: 'bonafide-agent', version, clock, log },
  });
  const cache = new SvidCache({
    trustDomain,
    clock,
    log,
    maximumSvids: agent.x509_svid_cache_max_size,
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
    metrics,
    tracer: traces?.tracer,
    random,
    clock,
    log,
  });
  const { connection, explain, keeper, prover, rebootstrap, reportFailure, trust } = side;
  const files = keepsKeys
    ? {
        svids: new SvidFiles({ directory: join(keyDirectory, 'svids'), clock, log }),
        state: new StateFile({ path: join(dataDirectory, 'authorized-entries.state'), clock, log }),
      }
    : undefined;
  const calls = { connection, reportRefusal: reportFailure };
  const renewal = new SvidRenewal({
    cache,
    signer: metrics.meterX509(new ServerSigner(calls)),
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
    signer: metrics.meterJwt(new ServerJwtSigner(calls)),
    maximumKept: agent.jwt_svid_cache_max_size,
    random,
    clock,
    log,
    signal,
  });
  const witSvids = new WitSvids({
    cache,
    signer: metrics.meterWit(new ServerWitSigner(calls)),
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
      log.warn({ subject_key_ids: [...tainted].join(',') }, 'New tainted X.509 authorities found');
      void renewal.replaceSignedBy(tainted).then((count) => {
        log.info({ count }, 'Scheduled rotation for SVID entries due to tainted X.509 authorities');
      });
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
  const departed = new DepartedEntries({ cache, clock });
  const sync = new EntrySync({
    connection,
    cache,
    apply: (change, cursor) => {
      quarantine.leave();
      departed.note(change);
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
  const survival = new NodeSurvival({
    ...{ cache, keeper, sync, connection, jwtSvids, witSvids, clock },
    targetSeconds: agent.availability_target,
  });
  const sightings = new SelectorSightings({
    entries: () => cache.entries(),
    report: (selectors, scope) => reportSightings(calls, selectors, scope),
    ...{ random, clock, log },
  });
  const apis = createLocalApis({
    live: surroundings.live,
    ...{ config, sockets, cache, jwtSvids, witSvids, survival, keeper, metrics, clock, log },
    tracer: traces?.tracer,
    explained: { departed, renewal, quarantine, connection, sync },
    onAttested: (selectors) => {
      sightings.attested(selectors);
    },
  });
  const { live } = surroundings;
  const fileOutputs = await createFileOutputs({
    ...{ config, live, cache, jwtSvids, metrics, random, clock, log },
  });
  const parts = {
    fileOutputs,
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
    endpoint: apis.endpoint,
    privileged: apis.privileged,
    files,
  };
  const served = await startMetrics(surroundings, {
    ...{ config, metrics, cache, jwtSvids, witSvids, keeper, sync },
    isQuarantined: () => quarantine.isActive,
    connections: () => apis.endpoint.peers(),
  });
  const ended = new AbortController();
  const telling = sightings.run(AbortSignal.any([signal, ended.signal]));
  surroundings.live?.ready();
  try {
    await new Agent({ ...parts, notice, explain, random, clock, log }).run(signal);
  } finally {
    ended.abort();
    await telling;
    apis.close();
    await served?.close();
    await traces?.close();
  }
  log.info('Agent stopped gracefully');
}

function addLiveLog({ live, log }: AgentSurroundings, config: AgentConfig): void {
  const settings = ({ agent: { log_level: level, log_file: file } }: AgentConfig) => ({ level, file });
  live?.add(liveLog(log, config, settings, { level: 'agent.log_level', file: 'agent.log_file' }));
}
