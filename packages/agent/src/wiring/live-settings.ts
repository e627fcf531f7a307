/** Settings of the local APIs that a reload changes: they are looked at anew at every call, in the same objects. */
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentConfig } from '../configuration/agent-config.js';
import type { EndpointLimits } from '../endpoints/endpoint-limits.js';
import type { SelectorLogging } from '../workload-attestation/shown-selectors.js';
import { configuredLimits } from './settings.js';

export interface LiveSettings {
  readonly policy: {
    readonly allowsUnauthenticatedVerifiers: boolean;
    readonly allowedForeignJwtClaims: readonly string[];
  };
  readonly sds: AgentConfig['agent']['sds'];
  /** Whether processes that ask about themselves are told what only the owner of the agent is told otherwise. */
  readonly selfExplanation: { readonly audience: 'owner' | 'workload' };
  readonly authorizedDelegates: ReadonlySet<SpiffeId>;
  readonly limits: EndpointLimits;
  readonly selectorLogging: () => SelectorLogging;
}

/** All but `max_streams_per_connection`, of which a client is told when it connects. */
const LIVE_LIMITS = [
  'max_connections',
  'max_connections_per_uid',
  'max_streams_per_uid',
  'calls_per_second_per_uid',
  'max_attestations_per_uid',
] as const satisfies readonly (keyof AgentConfig['agent']['limits'])[];

export function createLiveSettings(
  { agent }: AgentConfig,
  live: LiveConfig<AgentConfig> | undefined,
): LiveSettings {
  const settings = settingsOf(agent);
  const { maxStreamsPerConnection } = settings.limits;
  let selectorLogging = agent.log_selectors;
  live?.add({
    name: 'settings of the local APIs',
    keys: [
      'agent.allow_unauthenticated_verifiers',
      'agent.allowed_foreign_jwt_claims',
      'agent.sds',
      'agent.explain_to_workloads',
      'agent.log_selectors',
      ...LIVE_LIMITS.map((name) => `agent.limits.${name}`),
      // Without any, the API is not served at all and its socket is the owner's.
      ...(agent.authorized_delegates.length === 0 ? [] : ['agent.authorized_delegates']),
    ],
    prepare: (next) => {
      const after = settingsOf(next.agent);
      return () => {
        Object.assign(settings.policy, after.policy);
        Object.assign(settings.sds, after.sds);
        Object.assign(settings.selfExplanation, after.selfExplanation);
        Object.assign(settings.limits, after.limits, { maxStreamsPerConnection });
        selectorLogging = next.agent.log_selectors;
        settings.authorizedDelegates.clear();
        for (const id of after.authorizedDelegates) settings.authorizedDelegates.add(id);
      };
    },
  });
  return { ...settings, selectorLogging: () => selectorLogging };
}

function settingsOf(agent: AgentConfig['agent']) {
  return {
    policy: {
      allowsUnauthenticatedVerifiers: agent.allow_unauthenticated_verifiers,
      allowedForeignJwtClaims: agent.allowed_foreign_jwt_claims,
    },
    sds: { ...agent.sds },
    selfExplanation: { audience: agent.explain_to_workloads ? ('owner' as const) : ('workload' as const) },
    authorizedDelegates: new Set<SpiffeId>(agent.authorized_delegates),
    limits: configuredLimits(agent.limits),
  };
}
