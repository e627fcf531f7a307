/** `api fetch x509`: what a workload in the place of this process would get, once. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import type { Command } from 'commander';
import { addSocketFlags, workloadSocketPath, type SocketFlags } from '../workload-socket.js';
import { fetchX509Svids } from './workload-call.js';
import { writeSvids } from './write-svids.js';
import { readX509Answer } from './x509-answer.js';
import { x509AnswerText } from './x509-text.js';

interface FetchFlags extends SocketFlags {
  readonly output: OutputFormat;
  readonly silent?: boolean;
  /** Seconds. */
  readonly timeout: number;
  readonly write?: string;
}

const DEFAULT_TIMEOUT_SECONDS = 5;

export function fetchX509(command: Command, host: CommandHost): void {
  command
    .option('--write <directory>', 'writes SVIDs, keys and bundles there as PEM files (pretty output only)')
    .addOption(switchOption('--silent', 'prints nothing of the SVIDs'))
    .addOption(
      valueOption('--timeout <duration>', 'how long to wait for the answer', parseDuration).default(
        DEFAULT_TIMEOUT_SECONDS,
        '5s',
      ),
    )
    .addOption(outputOption());
  addSocketFlags(command);
  addExamples(command, [
    'bonafide-agent api fetch x509',
    'bonafide-agent api fetch x509 --write /tmp/svids --socket-path /run/bonafide/agent.sock',
    'bonafide-agent api fetch x509 --output json --timeout 1s',
  ]).action(async (flags: FetchFlags) => {
    const startMs = host.clock.monotonicMs();
    const response = await firstAnswer(flags, host);
    const elapsedMs = host.clock.monotonicMs() - startMs;
    const svids = readX509Answer(response, host.clock.now());
    printAnswer(host, flags.output, {
      json: () => protoJson('SpiffeWorkloadAPI', 'X509SVIDResponse', response),
      pretty: () => (flags.silent === true ? '' : x509AnswerText(svids, elapsedMs)),
    });
    if (flags.write !== undefined && flags.output === 'pretty') await writeSvids(flags.write, svids, host);
  });
}

async function firstAnswer(flags: FetchFlags, host: CommandHost): Promise<X509SVIDResponse__Output> {
  const socketPath = workloadSocketPath(flags, host.environment);
  const settings = flags.timeout > 0 ? { deadlineMs: flags.timeout * 1000 } : {};
  for await (const response of fetchX509Svids(socketPath, settings)) return response;
  throw new BonafideError('internal', 'the Workload API ended the stream without an answer');
}
