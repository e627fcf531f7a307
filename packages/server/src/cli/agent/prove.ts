/** `agent prove`: has an agent prove its node now, wherever it is connected. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId } from './agent-id-flag.js';
import { printNodeState, type NodeCommandFlags } from './print-node-state.js';

interface ProveFlags extends NodeCommandFlags {
  readonly wait: number;
}

const DEFAULT_WAIT = '30s';
/** Calls end after a minute. */
const LONGEST_WAIT_SECONDS = 50;

export function agentProve(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .addOption(agentIdOption())
      .addOption(
        valueOption('--wait <duration>', 'how long to wait for the proof', parseWait).default(
          parseDuration(DEFAULT_WAIT),
          DEFAULT_WAIT,
        ),
      )
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server agent prove --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2',
  ]).action(async (flags: ProveFlags) => {
    const id = requiredAgentId(flags);
    const state = await withServer(flags, host, (server) =>
      server.call('bonafide.attestation.v1.NodeAdmission', 'requestProof', {
        id,
        waitMs: Math.round(flags.wait * 1000),
      }),
    );
    const isProven = state.proofRequestedAt === 0;
    printNodeState(
      host,
      flags.output,
      state,
      isProven ? 'Agent proved its node' : 'Agent was asked for a proof',
    );
    if (isProven || flags.wait === 0) return;
    throw new BonafideError(
      'deadline_exceeded',
      `no proof came within ${flags.wait} s; the agent is asked again as soon as it is connected`,
    );
  });
}

function parseWait(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 0 && seconds <= LONGEST_WAIT_SECONDS) return seconds;
  throw invalidArgument(`${text} is not a duration from 0s to ${LONGEST_WAIT_SECONDS}s`);
}
