/** `api fetch jwt`: the JWT-SVIDs that a workload in the place of this process would get, and the bundles that verify them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { JWTBundlesResponse__Output } from '@bonafide/shared/rpc/gen/JWTBundlesResponse';
import type { JWTSVIDResponse__Output } from '@bonafide/shared/rpc/gen/JWTSVIDResponse';
import type { Command } from 'commander';
import { addCallFlags, callWorkloadApi, firstOf, type CallFlags } from './workload-call.js';

interface FetchJwtFlags extends CallFlags {
  readonly audience?: readonly string[];
  readonly spiffeId?: string;
  readonly output: OutputFormat;
  /** SPIRE's older name of `output`. */
  readonly format?: OutputFormat;
}

export function fetchJwt(command: Command, host: CommandHost): void {
  command
    .addOption(valueOption('--audience <names>', 'audiences, with commas between them', parseNames))
    .option('--spiffe-id <id>', 'only of this identity')
    .addOption(outputOption())
    .addOption(outputOption('--format').default(undefined).hideHelp());
  addCallFlags(command);
  addExamples(command, [
    'bonafide-agent api fetch jwt --audience db,cache',
    'bonafide-agent api fetch jwt --audience db --spiffe-id spiffe://example.org/web --output json',
  ]).action(async (flags: FetchJwtFlags) => {
    const { audience = [], spiffeId = '' } = flags;
    if (audience.length === 0) throw invalidArgument('audience must be specified');
    const [svids, bundles] = await callWorkloadApi(flags, host, async (client, settings) => {
      // In SPIRE's order: who is refused is refused by the same call.
      const keys = await firstOf(openServerStream(client, 'FetchJWTBundles', {}, settings));
      const request = { audience: [...audience], spiffeId };
      return [await callUnary(client, 'FetchJWTSVID', request, settings), keys] as const;
    });
    printAnswer(host, flags.format ?? flags.output, {
      json: () => [
        protoJson('SpiffeWorkloadAPI', 'JWTSVIDResponse', svids),
        protoJson('SpiffeWorkloadAPI', 'JWTBundlesResponse', bundles),
      ],
      pretty: () => prettyText(svids, bundles),
    });
  });
}

function prettyText({ svids }: JWTSVIDResponse__Output, { bundles }: JWTBundlesResponse__Output): string {
  const parts = svids.map(
    ({ spiffeId, svid, hint }) =>
      `token(${spiffeId}):\n\t${svid}\n${hint === '' ? '' : `hint(${spiffeId}):\n\t${hint}\n`}`,
  );
  for (const [id, jwks] of Object.entries(bundles).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    parts.push(`bundle(${id}):\n\t${jwks.toString('utf8')}\n`);
  }
  return parts.join('');
}

function parseNames(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
