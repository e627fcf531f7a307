/** `api fetch wit`: the WIT-SVIDs that a workload in the place of this process would get, and the bundles that verify them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { WITBundlesResponse__Output } from '@bonafide/shared/rpc/gen/WITBundlesResponse';
import type { WITSVIDResponse__Output } from '@bonafide/shared/rpc/gen/WITSVIDResponse';
import type { Command } from 'commander';
import { addCallFlags, callWorkloadApi, firstOf, type CallFlags } from './workload-call.js';

interface FetchWitFlags extends CallFlags {
  readonly spiffeId?: string;
  readonly output: OutputFormat;
}

export function fetchWit(command: Command, host: CommandHost): void {
  command.option('--spiffe-id <id>', 'only of this identity').addOption(outputOption());
  addCallFlags(command);
  addExamples(command, [
    'bonafide-agent api fetch wit',
    'bonafide-agent api fetch wit --spiffe-id spiffe://example.org/web --output json',
  ]).action(async (flags: FetchWitFlags) => {
    const { spiffeId = '' } = flags;
    const [svids, bundles] = await callWorkloadApi(flags, host, async (client, settings) => {
      const keys = await firstOf(openServerStream(client, 'FetchWITBundles', {}, settings));
      return [await firstOf(openServerStream(client, 'FetchWITSVID', { spiffeId }, settings)), keys] as const;
    });
    printAnswer(host, flags.output, {
      json: () => [
        protoJson('SpiffeWorkloadAPI', 'WITSVIDResponse', svids),
        protoJson('SpiffeWorkloadAPI', 'WITBundlesResponse', bundles),
      ],
      pretty: () => prettyText(svids, bundles),
    });
  });
}

/** As `api fetch jwt`; the private keys are for `--output json` alone. */
function prettyText({ svids }: WITSVIDResponse__Output, { bundles }: WITBundlesResponse__Output): string {
  const parts = svids.map(
    ({ spiffeId, witSvid, hint }) =>
      `token(${spiffeId}):\n\t${witSvid}\n${hint === '' ? '' : `hint(${spiffeId}):\n\t${hint}\n`}`,
  );
  for (const [id, jwks] of Object.entries(bundles).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    parts.push(`bundle(${id}):\n\t${jwks}\n`);
  }
  return parts.join('');
}
