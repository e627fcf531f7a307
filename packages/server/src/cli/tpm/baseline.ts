/** `tpm baseline`: what a trusted node showed last, as a golden set: YAML for `golden_path`. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, integerBetween, repeatedOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { formatYaml } from '@bonafide/shared/config/format-yaml';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Baseline__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/Baseline';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { ekHashOption, requiredEkHash, type EkHashFlag } from './ek-hash-flag.js';

interface BaselineFlags extends EkHashFlag, ServerFlags {
  readonly name?: string;
  readonly pcr?: readonly number[];
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.attestation.v1.TpmEnrollment';
const HIGHEST_PCR = 15;

export function tpmBaseline(command: Command, host: CommandHost): void {
  command
    .addOption(ekHashOption())
    .option('--name <name>', 'what the golden set is called')
    .addOption(repeatedOption('--pcr <n>', 'only this PCR; all without it', integerBetween(0, HIGHEST_PCR)))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    `bonafide-server tpm baseline --ek-hash ${'7d'.repeat(32)} --name web-2030-04 > golden/web-2030-04.yaml`,
  ]).action(async (flags: BaselineFlags) => {
    const ekHash = requiredEkHash(flags.ekHash);
    const { name } = flags;
    if (name === undefined || name === '') {
      throw invalidArgument('a name is required; add --name, for example --name web-2030-04');
    }
    const message = await withServer(flags, host, (server) =>
      server.call(SERVICE, 'getBaseline', { ekHash }),
    );
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.attestation.v1.Baseline',
      message,
      pretty: () => goldenYaml(message, { name, ekHash, pcrs: flags.pcr }),
    });
  });
}

function goldenYaml(
  { pcrs, secureBoot, dbAuthorities }: Baseline__Output,
  wanted: { readonly name: string; readonly ekHash: string; readonly pcrs: readonly number[] | undefined },
): string {
  const banks: Record<string, Record<string, string[]>> = {};
  for (const { bank, pcr, digest } of pcrs) {
    // Whoever can find collisions of SHA-1 can choose what it says.
    if (bank === 'sha1' || (wanted.pcrs !== undefined && !wanted.pcrs.includes(pcr))) continue;
    (banks[bank] ??= {})[String(pcr)] = [digest];
  }
  if (Object.keys(banks).length === 0) {
    throw new BonafideError('failed_precondition', 'the node showed none of these PCRs');
  }
  const comments = [
    `# What the TPM ${wanted.ekHash} showed when it was last accepted.`,
    `# Secure Boot: ${secureBoot === '' ? 'not proven' : secureBoot === 'true' ? 'on' : 'off'}`,
    ...dbAuthorities.map((authority) => `# db authority: ${authority}`),
  ];
  return `${comments.join('\n')}\n${formatYaml({ [wanted.name]: banks })}`;
}
