/** Why an agent was turned away, as the status detail by which agents (SPIRE's too) decide what to do next. */
import type { Metadata, status } from '@grpc/grpc-js';
import type { Reason } from '../errors/bonafide-error.js';
import type { _bonafide_attestation_v1_RefusalDetails_Reason__Output as OwnName } from './gen/bonafide/attestation/v1/RefusalDetails.js';
import type { _spire_api_types_PermissionDeniedDetails_Reason__Output as SpireName } from './gen/spire/api/types/PermissionDeniedDetails.js';
import { loadMessage } from './load-message.js';
import { setStatusDetail, statusDetailsIn, TYPE_PREFIX, type StatusDetail } from './status-details.js';

type AgentRefusal = Extract<Reason, `agent_${string}`>;

const SPIRE_NAMES = {
  agent_expired: 'AGENT_EXPIRED',
  agent_not_attested: 'AGENT_NOT_ATTESTED',
  agent_not_active: 'AGENT_NOT_ACTIVE',
  agent_banned: 'AGENT_BANNED',
  agent_must_reattest: 'AGENT_MUST_REATTEST',
} as const satisfies Partial<Record<AgentRefusal, SpireName>>;

/** For which SPIRE has no word; to its agents they are permissions denied. */
const OWN_NAMES = {
  agent_quarantined: 'AGENT_QUARANTINED',
  agent_pending: 'AGENT_PENDING',
} as const satisfies Record<Exclude<AgentRefusal, keyof typeof SPIRE_NAMES>, OwnName>;

const SPIRE_DETAIL = 'spire.api.types.PermissionDeniedDetails';
const OWN_DETAIL = 'bonafide.attestation.v1.RefusalDetails';

const REFUSALS = new Map<string, AgentRefusal>([
  ...Object.entries(SPIRE_NAMES).map(([reason, name]) => [name, reason as AgentRefusal] as const),
  ...Object.entries(OWN_NAMES).map(([reason, name]) => [name, reason as AgentRefusal] as const),
]);

export function isAgentRefusal(reason: Reason): reason is AgentRefusal {
  return reason in SPIRE_NAMES || reason in OWN_NAMES;
}

export function addAgentRefusal(
  metadata: Metadata,
  refusal: { readonly code: status; readonly details: string; readonly reason: AgentRefusal },
): void {
  setStatusDetail(metadata, refusal, detailOf(refusal.reason));
}

/** Undefined when the trailer is missing, malformed, or tells of something else. */
export function agentRefusalIn(metadata: Metadata): AgentRefusal | undefined {
  try {
    for (const { type_url: typeUrl, value } of statusDetailsIn(metadata)) {
      if (typeUrl === TYPE_PREFIX + SPIRE_DETAIL) {
        return REFUSALS.get(loadMessage(SPIRE_DETAIL).deserialize(value).reason);
      }
      if (typeUrl === TYPE_PREFIX + OWN_DETAIL) {
        return REFUSALS.get(loadMessage(OWN_DETAIL).deserialize(value).reason);
      }
    }
    return undefined;
  } catch {
    return undefined; // the status code alone still tells that permission was denied
  }
}

function detailOf(reason: AgentRefusal): StatusDetail {
  return isOwn(reason)
    ? {
        type_url: TYPE_PREFIX + OWN_DETAIL,
        value: loadMessage(OWN_DETAIL).serialize({ reason: OWN_NAMES[reason] }),
      }
    : {
        type_url: TYPE_PREFIX + SPIRE_DETAIL,
        value: loadMessage(SPIRE_DETAIL).serialize({ reason: SPIRE_NAMES[reason] }),
      };
}

function isOwn(reason: AgentRefusal): reason is keyof typeof OWN_NAMES {
  return reason in OWN_NAMES;
}
