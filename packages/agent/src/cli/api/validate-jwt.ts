/** `api validate jwt`: has the agent validate a JWT-SVID as a workload in the place of this process would. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type JsonValue, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { structFromProto } from '@bonafide/shared/rpc/codec/struct';
import type { Command } from 'commander';
import { addCallFlags, callWorkloadApi, type CallFlags } from './workload-call.js';

interface ValidateJwtFlags extends CallFlags {
  readonly audience?: string;
  readonly svid?: string;
  readonly output: OutputFormat;
}

export function validateJwt(command: Command, host: CommandHost): void {
  command
    .option('--audience <name>', 'the audience that the token must have')
    .option('--svid <token>', 'the JWT-SVID')
    .addOption(outputOption());
  addCallFlags(command);
  addExamples(command, [
    'bonafide-agent api validate jwt --audience db --svid TOKEN',
    'bonafide-agent api validate jwt --audience db --svid TOKEN --output json',
  ]).action(async (flags: ValidateJwtFlags) => {
    const { audience = '', svid = '' } = flags;
    if (audience === '') throw invalidArgument('audience must be specified');
    if (svid === '') throw invalidArgument('svid must be specified');
    const answer = await callWorkloadApi(flags, host, (client, settings) =>
      callUnary(client, 'ValidateJWTSVID', { audience, svid }, settings),
    ).catch((error: unknown) => {
      throw hasReason(error, 'invalid_argument')
        ? new BonafideError('invalid_argument', `SVID is not valid: ${error.message}`, { cause: error })
        : error;
    });
    const claims = sorted(structFromProto(answer.claims ?? { fields: {} }));
    printAnswer(host, flags.output, {
      json: () => ({ claims, spiffe_id: answer.spiffeId }),
      pretty: () => `SVID is valid.\nSPIFFE ID : ${answer.spiffeId}\nClaims    : ${JSON.stringify(claims)}\n`,
    });
  });
}

/** Names in order at every depth and nothing that is null, as SPIRE prints them. */
function sorted(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([name, item]): [string, JsonValue] => [name, sorted(item)]);
    return Object.fromEntries(members.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
  return value as JsonValue;
}
