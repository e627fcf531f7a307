/** Why an agent was turned away, as the status detail by which agents (SPIRE's too) decide what to do next. */
import type { Metadata, status } from '@grpc/grpc-js';
import type { Reason } from '../errors/bonafide-error.js';
import type { _spire_api_types_PermissionDeniedDetails_Reason__Output as ReasonName } from './gen/spire/api/types/PermissionDeniedDetails.js';
import { loadMessage } from './load-message.js';

type AgentRefusal = Extract<Reason, `agent_${string}`>;

const REASON_NAMES = {
  agent_expired: 'AGENT_EXPIRED',
  agent_not_attested: 'AGENT_NOT_ATTESTED',
  agent_not_active: 'AGENT_NOT_ACTIVE',
  agent_banned: 'AGENT_BANNED',
  agent_must_reattest: 'AGENT_MUST_REATTEST',
} as const satisfies Record<AgentRefusal, ReasonName>;

const REFUSALS = new Map<string, AgentRefusal>(
  (Object.keys(REASON_NAMES) as AgentRefusal[]).map((reason) => [REASON_NAMES[reason], reason]),
);

/** The standard trailer that holds a google.rpc.Status. */
const DETAILS_TRAILER = 'grpc-status-details-bin';
const TYPE_URL = 'type.googleapis.com/spire.api.types.PermissionDeniedDetails';

export function isAgentRefusal(reason: Reason): reason is AgentRefusal {
  return reason in REASON_NAMES;
}

export function addAgentRefusal(
  metadata: Metadata,
  refusal: { readonly code: status; readonly details: string; readonly reason: AgentRefusal },
): void {
  const detail = loadMessage('spire.api.types.PermissionDeniedDetails').serialize({
    reason: REASON_NAMES[refusal.reason],
  });
  const whole = loadMessage('google.rpc.Status').serialize({
    code: refusal.code,
    message: refusal.details,
    details: [{ type_url: TYPE_URL, value: detail }],
  });
  metadata.set(DETAILS_TRAILER, whole);
}

/** Undefined when the trailer is missing, malformed, or tells of something else. */
export function agentRefusalIn(metadata: Metadata): AgentRefusal | undefined {
  const [bytes] = metadata.get(DETAILS_TRAILER);
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    const whole = loadMessage('google.rpc.Status').deserialize(bytes);
    const detail = whole.details.find((candidate) => candidate.type_url === TYPE_URL);
    if (detail === undefined) return undefined;
    const { reason } = loadMessage('spire.api.types.PermissionDeniedDetails').deserialize(detail.value);
    return REFUSALS.get(reason);
  } catch {
    return undefined; // the status code alone still tells that permission was denied
  }
}
