/** Constructs what the agent needs to be somebody to its server: the way there, trust in it, evidence of the node, and its own SVID. */
import { join } from 'node:path';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createRpcClientTelemetry } from '@bonafide/shared/telemetry/rpc-client-telemetry';
import type { Tracer } from '@bonafide/shared/telemetry/span';
import { BundleFile } from '../agent-identity/bundle-file.js';
import { explainFailure } from '../agent-identity/explain-failure.js';
import { IdentityFile, IdentityMemory } from '../agent-identity/identity-file.js';
import { IdentityKeeper } from '../agent-identity/identity-keeper.js';
import { Rebootstrap } from '../agent-identity/rebootstrap.js';
import { ServerConnection, type ServerChannel } from '../agent-identity/server-connection.js';
import type { AgentConfig } from '../configuration/agent-config.js';
import { createAttestation } from '../node-attestation/attestation.js';
import { createNodeAttestor } from '../node-attestation/attestors.js';
import type { NodeAttestor } from '../node-attestation/node-attestor.js';
import { NodeProver } from '../node-attestation/node-prover.js';
import { ServerTrust } from '../node-attestation/server-trust.js';
import type { AgentMetrics } from '../telemetry/agent-metrics.js';
import type { RenewalPolicy } from '../svid-renewal/renewal-time.js';
import { bootstrapSource, readJoinToken } from './settings.js';

interface ServerSideOptions {
  readonly config: AgentConfig;
  readonly dataDirectory: string;
  /** Undefined: the agent's key lives in memory only. */
  readonly keyDirectory: string | undefined;
  readonly isTainted: (svid: X509Svid) => boolean;
  readonly onQuarantined: (why: string) => void;
  readonly policy: RenewalPolicy;
  readonly metrics: AgentMetrics;
  readonly tracer: Tracer | undefined;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ServerSide {
  readonly connection: ServerConnection;
  readonly trust: ServerTrust;
  readonly rebootstrap: Rebootstrap;
  readonly attestor: NodeAttestor;
  readonly keeper: IdentityKeeper;
  readonly prover: NodeProver;
  /** To be told of every failed call. */
  readonly reportFailure: (error: unknown, channel: ServerChannel) => void;
  readonly explain: (error: unknown) => string;
}

export async function createServerSide(options: ServerSideOptions): Promise<ServerSide> {
  const {
    clock,
    config,
    dataDirectory,
    isTainted,
    keyDirectory,
    log,
    metrics,
    onQuarantined,
    policy,
    random,
    tracer,
  } = options;
  const { agent, plugins } = config;
  const trustDomain = agent.trust_domain;
  const connection = new ServerConnection({
    addresses: agent.servers,
    trustDomain,
    random,
    interceptors: [createRpcClientTelemetry({ metrics: metrics.client, tracer, clock, log })],
  });
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
  const rebootstrap = new Rebootstrap({
    mode: agent.rebootstrap_mode,
    delaySeconds: agent.rebootstrap_delay,
    onDue: () => {
      keeper.replaceNow();
    },
    clock,
    log,
  });
  const keeper = new IdentityKeeper({
    connection,
    storage:
      keyDirectory === undefined
        ? new IdentityMemory()
        : new IdentityFile({ path: join(keyDirectory, 'agent-svid.json'), trustDomain, log }),
    attest: metrics.meterNodeAttestation(
      createAttestation({ connection, attestor, trust, rebootstrap, trustDomain, log }),
    ),
    canAttest: () => !attestor.isSpent,
    isTainted,
    onQuarantined: ({ message }) => {
      onQuarantined(message);
    },
    isAlwaysPatient: () => rebootstrap.isEnabled,
    explain,
    policy,
    clock,
    log,
  });
  const reportFailure = (error: unknown, channel: ServerChannel): void => {
    rebootstrap.observe(error);
    keeper.reportRefusal(error, channel);
  };
  const prover = new NodeProver({
    connection,
    attestor,
    reportRefusal: reportFailure,
    onQuarantined,
    onProof: metrics.nodeProof.bind(metrics),
    explain,
    random,
    clock,
    log,
  });
  return { connection, trust, rebootstrap, attestor, keeper, prover, reportFailure, explain };
}
