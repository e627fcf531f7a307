/** `token generate`: a join token, with which one agent can attest once. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, integerBetween, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface GenerateFlags extends ServerFlags {
  readonly ttl: number;
  readonly spiffeId?: SpiffeId;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.agent.v1.Agent';
const DEFAULT_TTL_SECONDS = 600;

export function tokenGenerate(command: Command, host: CommandHost): void {
  command
    .addOption(
      valueOption('--ttl <seconds>', 'for how long it can be used', integerBetween(1, 2 ** 31 - 1)).default(
        DEFAULT_TTL_SECONDS,
      ),
    )
    .addOption(
      valueOption(
        '--spiffe-id <id>',
        'a name for the node that uses it, for entries to have as their parent',
        parseSpiffeId,
      ),
    )
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server token generate --spiffe-id spiffe://example.org/my-node',
    'bonafide-server token generate --ttl 60 --output json',
  ]).action(async (flags: GenerateFlags) => {
    const agentId = flags.spiffeId === undefined ? null : spiffeIdToProto(flags.spiffeId);
    const token = await withServer(flags, host, (server) =>
      server.call(SERVICE, 'createJoinToken', { agentId, ttl: flags.ttl }),
    );
    const warning = agentId === null ? 'Warning: Missing SPIFFE ID.\n' : '';
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.types.JoinToken',
      message: token,
      pretty: () => `Token: ${token.value}\n${warning}`,
    });
  });
}
