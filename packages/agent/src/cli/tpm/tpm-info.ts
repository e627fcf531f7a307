/** `tpm info`: what this machine would prove by its TPM, before any server is asked. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';

interface TpmInfoFlags {
  readonly device: string;
  readonly eventLog: string;
  readonly imaList: string;
  readonly output: OutputFormat;
}

export function tpmInfo(command: Command, host: CommandHost): void {
  command
    .option('--device <path>', '/dev/tpmrm0, unix:/path or tcp:127.0.0.1:port', '/dev/tpmrm0')
    .option('--event-log <file>', 'the boot log', '/sys/kernel/security/tpm0/binary_bios_measurements')
    .option(
      '--ima-list <file>',
      'the list of measured files',
      '/sys/kernel/security/ima/binary_runtime_measurements',
    )
    .addOption(outputOption());
  addExamples(command, [
    'bonafide-agent tpm info',
    'bonafide-agent tpm info --device unix:/run/swtpm.sock --output json',
  ]).action(async ({ device, eventLog, imaList, output }: TpmInfoFlags) => {
    const [{ lookAtTpm }, { tpmReportJson, tpmReportText }] = await Promise.all([
      import('./look-at-tpm.js'),
      import('./tpm-report.js'),
    ]);
    const report = await lookAtTpm({ device, eventLogPath: eventLog, imaListPath: imaList });
    printAnswer(host, output, {
      json: () => tpmReportJson(report),
      pretty: () => tpmReportText(report),
    });
  });
}
