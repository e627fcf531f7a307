/** The filter of ListAgents and CountAgents, from the wire to the store. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { selectorFilterFromProto } from '@bonafide/shared/rpc/codec/selector';
import type { _spire_api_server_agent_v1_ListAgentsRequest_Filter__Output as AgentFilter } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/ListAgentsRequest';
import type { AccessScope } from '../../access/scope.js';
import type { NodeFilter } from '../../store/node-record.js';

/** @param scope of the caller, beyond which nothing is found. @throws BonafideError `invalid_argument`. */
export function nodeFilterFromProto(filter: AgentFilter | null, scope: AccessScope | undefined): NodeFilter {
  const among = scope?.readableAgents.map(({ start }) => start);
  if (filter === null) return { among };
  return {
    among,
    attestationType: filter.byAttestationType || undefined,
    selectors:
      filter.bySelectorMatch === null
        ? undefined
        : selectorFilterFromProto(filter.bySelectorMatch, 'by_selector_match'),
    isBanned: filter.byBanned?.value,
    canReattest: filter.byCanReattest?.value,
    expiresBefore: filter.byExpiresBefore === '' ? undefined : parseExpiry(filter.byExpiresBefore),
  };
}

const EXPIRY = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d) (?:[+-]\d\d(?:\d\d)?|[A-Z]{3,5})$/;

/** `2006-01-02 15:04:05 -0700 -07`, the one form that SPIRE takes. */
function parseExpiry(text: string): Date {
  const [, day = '', time = '', hours = '', minutes = ''] = EXPIRY.exec(text) ?? [];
  const date = new Date(`${day}T${time}${hours}:${minutes}`);
  if (Number.isNaN(date.getTime())) {
    throw invalidArgument(
      `by_expires_before ${JSON.stringify(text.slice(0, 64))} is no time; expected the form 2006-01-02 15:04:05 -0700 -07`,
    );
  }
  return date;
}
