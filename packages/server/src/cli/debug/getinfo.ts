/** `debug getinfo`: how long the server has been up, what it holds, and its own SVID. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { svidChainLines } from '@bonafide/shared/cli/svid-chain-lines';
import { formatDuration } from '@bonafide/shared/config/go-duration';
import type { GetInfoResponse__Output } from '@bonafide/shared/rpc/gen/spire/api/server/debug/v1/GetInfoResponse';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface GetInfoFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.debug.v1.Debug';

export function debugGetInfo(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, [
    'bonafide-server debug getinfo',
    'bonafide-server debug getinfo --output json',
  ]).action(async (flags: GetInfoFlags) => {
    const info = await withServer(flags, host, (server) => server.call(SERVICE, 'getInfo', {}));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.server.debug.v1.GetInfoResponse',
      message: info,
      pretty: () => infoText(info),
    });
  });
}

function infoText(info: GetInfoResponse__Output): string {
  const lines = [
    'Server Debug Info:',
    `  Uptime:                  ${formatDuration(info.uptime)}`,
    `  Registered Agents:       ${info.agentsCount}`,
    `  Registration Entries:    ${info.entriesCount}`,
    `  Federated Bundles:       ${info.federatedBundlesCount}`,
    ...svidChainLines(info.svidChain),
  ];
  return `${lines.join('\n')}\n`;
}
