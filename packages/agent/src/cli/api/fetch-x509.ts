/** `api fetch x509`: what a workload in the place of this process would get, once. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { Command } from 'commander';
import { addCallFlags, callWorkloadApi, firstOf, type CallFlags } from './workload-call.js';
import { writeSvids } from './write-svids.js';
import { readX509Answer } from './x509-answer.js';
import { x509AnswerText } from './x509-text.js';

interface FetchFlags extends CallFlags {
  readonly output: OutputFormat;
  readonly silent?: boolean;
  readonly write?: string;
}

export function fetchX509(command: Command, host: CommandHost): void {
  command
    .option('--write <directory>', 'writes SVIDs, keys and bundles there as PEM files (pretty output only)')
    .addOption(switchOption('--silent', 'prints nothing of the SVIDs'))
    .addOption(outputOption());
  addCallFlags(command);
  addExamples(command, [
    'bonafide-agent api fetch x509',
    'bonafide-agent api fetch x509 --write /tmp/svids --socket-path /run/bonafide/agent.sock',
    'bonafide-agent api fetch x509 --output json --timeout 1s',
  ]).action(async (flags: FetchFlags) => {
    const startMs = host.clock.monotonicMs();
    const response = await callWorkloadApi(flags, host, (client, settings) =>
      firstOf(openServerStream(client, 'FetchX509SVID', {}, settings)),
    );
    const elapsedMs = host.clock.monotonicMs() - startMs;
    const svids = readX509Answer(response, host.clock.now());
    printAnswer(host, flags.output, {
      json: () => protoJson('SpiffeWorkloadAPI', 'X509SVIDResponse', response),
      pretty: () => (flags.silent === true ? '' : x509AnswerText(svids, elapsedMs)),
    });
    if (flags.write !== undefined && flags.output === 'pretty') await writeSvids(flags.write, svids, host);
  });
}
