/** What the commands about a node's state answer: one line of what was done, and the state after it. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import type { OutputFormat } from '@bonafide/shared/cli/output';
import type { NodeState__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import { printMessage } from '../print-message.js';
import { printedId } from '../printed-words.js';
import type { ServerFlags } from '../server-flags.js';
import type { AgentIdFlag } from './agent-id-flag.js';
import { labelled } from './agent-text.js';
import { nodeStateText } from './node-state.js';

export interface NodeCommandFlags extends AgentIdFlag, ServerFlags {
  readonly output: OutputFormat;
}

export function printNodeState(
  host: CommandHost,
  format: OutputFormat,
  state: NodeState__Output,
  done: string,
): void {
  printMessage(host, format, {
    service: 'bonafide.attestation.v1.NodeAdmission',
    name: 'bonafide.attestation.v1.NodeState',
    message: state,
    pretty: () => `${done}\n\n${labelled('SPIFFE ID', printedId(state.id))}${nodeStateText(state)}`,
  });
}
