/** `--spiffe-id`, by which commands name the one agent that they are about. */
import { valueOption } from '@bonafide/shared/cli/option-values';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { SPIFFEID__Output } from '@bonafide/shared/rpc/gen/spire/api/types/SPIFFEID';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Option } from 'commander';

export interface AgentIdFlag {
  readonly spiffeId?: SpiffeId;
}

export function agentIdOption(): Option {
  return valueOption('--spiffe-id <id>', 'SPIFFE ID of the agent, as agent list prints it', parseSpiffeId);
}

/** @throws BonafideError `invalid_argument` when it was not given. */
export function requiredAgentId({ spiffeId }: AgentIdFlag): SPIFFEID__Output {
  if (spiffeId === undefined) {
    throw invalidArgument(
      'a SPIFFE ID is required; add --spiffe-id with the ID of an agent as agent list prints it',
    );
  }
  return spiffeIdToProto(spiffeId);
}
