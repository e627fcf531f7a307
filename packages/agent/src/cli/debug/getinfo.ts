/** `debug getinfo`: how long the agent has been up, what it holds, and its own SVID. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { rfc3339 } from '@bonafide/shared/cli/rfc3339';
import { svidChainLines } from '@bonafide/shared/cli/svid-chain-lines';
import { formatDuration } from '@bonafide/shared/config/go-duration';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { GetInfoResponse__Output } from '@bonafide/shared/rpc/gen/spire/agent/debug/v1/GetInfoResponse';
import type { Command } from 'commander';
import { addAdminSocketFlags, askAdmin, type AdminSocketFlags } from '../admin-socket.js';

interface GetInfoFlags extends AdminSocketFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.agent.debug.v1.Debug';
const CALL = { deadlineMs: 10_000 };

export function debugGetInfo(command: Command, host: CommandHost): void {
  addAdminSocketFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-agent debug getinfo', 'bonafide-agent debug getinfo --output json']).action(
    async (flags: GetInfoFlags) => {
      const info = await askAdmin(flags, SERVICE, (client) => callUnary(client, 'GetInfo', {}, CALL));
      printAnswer(host, flags.output, {
        json: () => protoJson(SERVICE, 'spire.agent.debug.v1.GetInfoResponse', info),
        pretty: () => infoText(info),
      });
    },
  );
}

function infoText(info: GetInfoResponse__Output): string {
  const lines = [
    'Agent Debug Info:',
    `  Uptime:                  ${formatDuration(info.uptime)}`,
    `  Last Sync:               ${info.lastSyncSuccess === 0 ? 'none yet' : rfc3339(info.lastSyncSuccess)}`,
    `  X509-SVIDs:              ${info.cachedX509SvidsCount}`,
    `  JWT-SVIDs:               ${info.cachedJwtSvidsCount}`,
    `  X509-SVIDs in Stores:    ${info.cachedSvidstoreX509SvidsCount}`,
    ...svidChainLines(info.svidChain),
  ];
  return `${lines.join('\n')}\n`;
}
