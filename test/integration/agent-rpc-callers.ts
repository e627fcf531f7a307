/** Every RPC that an agent serves, and what each kind of caller gets of it. */
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { SERVICES, type ServiceName } from '@bonafide/shared/rpc/services';

/** What a caller gets of an RPC; `nothing` is an answer without a secret, `cut` the end of the connection. */
export type Outcome =
  'served' | 'nothing' | 'INVALID_ARGUMENT' | 'PERMISSION_DENIED' | 'UNIMPLEMENTED' | 'cut';

export const ACCOUNTS = {
  delegate: { uid: 64_601, gid: 64_601 },
  workload: { uid: 64_602, gid: 64_602 },
  stranger: { uid: 64_603, gid: 64_603 },
};
const DELEGATED = 'spire.api.agent.delegatedidentity.v1.DelegatedIdentity';
export const SDS = 'envoy.service.secret.v3.SecretDiscoveryService';
const BROKER = 'spiffe.broker.API';
const SELECTORS = { selectors: [{ type: 'unix', value: 'uid:64602' }] };

/** owner (root, who is the agent's user here), delegate, a workload with another identity, a process without one. */
const OWNERS = ['served', 'PERMISSION_DENIED', 'PERMISSION_DENIED', 'PERMISSION_DENIED'] as const;
/** An empty message is let in, and asks for nothing. */
const OWNERS_WHO_SAY_MORE = [
  'INVALID_ARGUMENT',
  'PERMISSION_DENIED',
  'PERMISSION_DENIED',
  'PERMISSION_DENIED',
] as const;
/** The owner is attested as everybody, and is no delegate. */
const DELEGATES = ['PERMISSION_DENIED', 'served', 'PERMISSION_DENIED', 'PERMISSION_DENIED'] as const;
export const ADMIN: Readonly<Record<string, readonly Outcome[]>> = {
  'bonafide.agent.v1.Explain/ExplainProcess': OWNERS,
  'bonafide.agent.v1.Explain/ListConnected': OWNERS,
  'bonafide.agent.v1.Survival/Report': OWNERS,
  'bonafide.debug.v1.Snapshots/TakeSnapshot': OWNERS,
  'bonafide.debug.v1.Snapshots/ProfileCpu': OWNERS_WHO_SAY_MORE,
  'bonafide.debug.v1.Snapshots/WriteHeap': OWNERS_WHO_SAY_MORE,
  'spire.agent.debug.v1.Debug/GetInfo': OWNERS,
  'spire.api.agent.logger.v1.Logger/GetLogger': OWNERS,
  'spire.api.agent.logger.v1.Logger/SetLogLevel': OWNERS,
  'spire.api.agent.logger.v1.Logger/ResetLogLevel': OWNERS,
  [`${DELEGATED}/SubscribeToX509SVIDs`]: DELEGATES,
  [`${DELEGATED}/SubscribeToX509Bundles`]: DELEGATES,
  [`${DELEGATED}/SubscribeToJWTBundles`]: DELEGATES,
  [`${DELEGATED}/FetchJWTSVIDs`]: DELEGATES,
};

/** A workload, one without the header, a process without an identity. */
const WORKLOADS = ['served', 'INVALID_ARGUMENT', 'PERMISSION_DENIED'] as const;
/** Names that the caller may not have are refused, as in SPIRE. */
const ENVOYS = ['served', 'served', 'INVALID_ARGUMENT'] as const;
const ANYBODY = ['served', 'served', 'served'] as const;
export const WORKLOAD: Readonly<Record<string, readonly Outcome[]>> = {
  'SpiffeWorkloadAPI/FetchX509SVID': WORKLOADS,
  'SpiffeWorkloadAPI/FetchX509Bundles': WORKLOADS,
  'SpiffeWorkloadAPI/FetchJWTSVID': WORKLOADS,
  'SpiffeWorkloadAPI/FetchJWTBundles': WORKLOADS,
  // Of a token that nobody signed; who asks has no part in it.
  'SpiffeWorkloadAPI/ValidateJWTSVID': ['INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'INVALID_ARGUMENT'],
  'SpiffeWorkloadAPI/FetchWITSVID': WORKLOADS,
  'SpiffeWorkloadAPI/FetchWITBundles': WORKLOADS,
  [`${SDS}/StreamSecrets`]: ENVOYS,
  [`${SDS}/DeltaSecrets`]: ['served', 'served', 'nothing'],
  [`${SDS}/FetchSecrets`]: ENVOYS,
  'bonafide.agent.v1.SelfExplain/ExplainCaller': ['served', 'INVALID_ARGUMENT', 'served'],
  'grpc.health.v1.Health/Check': ANYBODY,
  'grpc.health.v1.Health/List': ANYBODY,
  'grpc.health.v1.Health/Watch': ANYBODY,
};

/** The broker, one without the header, somebody else with an SVID of this trust domain, with one of a forger, without any. */
const BROKERS = ['served', 'INVALID_ARGUMENT', 'PERMISSION_DENIED', 'cut', 'cut'] as const;
export const BROKER_RPCS: Readonly<Record<string, readonly Outcome[]>> = {
  [`${BROKER}/SubscribeToX509SVID`]: BROKERS,
  [`${BROKER}/SubscribeToX509Bundles`]: BROKERS,
  [`${BROKER}/SubscribeToJWTBundles`]: BROKERS,
  [`${BROKER}/FetchJWTSVID`]: BROKERS,
};

/** Whole, but signed by nobody. */
const TOKEN = [
  { alg: 'ES256', kid: 'a', typ: 'JWT' },
  { sub: 'spiffe://example.org/a', aud: ['a'], exp: 9_999_999_999 },
  'signature',
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.');

export const EVERY_RPC = (Object.keys(SERVICES) as ServiceName[]).flatMap((service) =>
  Object.keys(loadService(service).definition).map((method) => `${service}/${method}`),
);

/** Those that need more than an empty message to get past the door. */
export function requestOf(rpc: string): Buffer | undefined {
  const { definition: delegated } = loadService(DELEGATED);
  const { definition: workload } = loadService('SpiffeWorkloadAPI');
  const { definition: broker } = loadService(BROKER);
  const { definition: sds } = loadService(SDS);
  const { definition: explain } = loadService('bonafide.agent.v1.Explain');
  const { definition: logger } = loadService('spire.api.agent.logger.v1.Logger');
  const secrets = { typeUrl: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret' };
  const discovery = sds.FetchSecrets.requestSerialize({ ...secrets, resourceNames: ['default'] });
  const value = loadMessage('spiffe.broker.WorkloadPIDReference').serialize({ pid: process.pid });
  const type = 'type.googleapis.com/spiffe.broker.WorkloadPIDReference';
  const reference = { reference: { reference: { type_url: type, value } } };
  const audience = ['a'];
  const requests: Readonly<Record<string, Buffer>> = {
    [`${DELEGATED}/SubscribeToX509SVIDs`]: delegated.SubscribeToX509SVIDs.requestSerialize(SELECTORS),
    [`${DELEGATED}/FetchJWTSVIDs`]: delegated.FetchJWTSVIDs.requestSerialize({ ...SELECTORS, audience }),
    'SpiffeWorkloadAPI/FetchJWTSVID': workload.FetchJWTSVID.requestSerialize({ audience }),
    'SpiffeWorkloadAPI/FetchWITSVID': workload.FetchWITSVID.requestSerialize({}),
    'SpiffeWorkloadAPI/ValidateJWTSVID': workload.ValidateJWTSVID.requestSerialize({
      audience: 'a',
      svid: TOKEN,
    }),
    'bonafide.agent.v1.Explain/ExplainProcess': explain.ExplainProcess.requestSerialize({ pid: process.pid }),
    'spire.api.agent.logger.v1.Logger/SetLogLevel': logger.SetLogLevel.requestSerialize({
      newLevel: 'DEBUG',
    }),
    [`${SDS}/StreamSecrets`]: discovery,
    [`${SDS}/FetchSecrets`]: discovery,
    [`${SDS}/DeltaSecrets`]: sds.DeltaSecrets.requestSerialize({
      ...secrets,
      resourceNamesSubscribe: ['default'],
    }),
    [`${BROKER}/FetchJWTSVID`]: broker.FetchJWTSVID.requestSerialize({ ...reference, audience }),
  };
  return (
    requests[rpc] ??
    (rpc.startsWith(BROKER) ? broker.SubscribeToX509SVID.requestSerialize(reference) : undefined)
  );
}

export function outcomeOf(code: number): Outcome {
  if (code === 12) return 'UNIMPLEMENTED';
  if (code === 7) return 'PERMISSION_DENIED';
  return code === 3 ? 'INVALID_ARGUMENT' : 'served';
}
