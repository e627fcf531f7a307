/** `audit verify`: tells whether the audit log is as the server wrote it. */
import { readFile } from 'node:fs/promises';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, repeatedOption, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type JsonValue, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import type { ChainHead } from '../../audit/audit-log.js';
import type { ChainVerifier, VerifiedChain } from '../../audit/verify-chain.js';
import { addSourceFlags, sourceLines, type SourceFlags } from './audit-source.js';

interface VerifyFlags extends SourceFlags {
  readonly key?: readonly string[];
  readonly head?: string;
  readonly open?: boolean;
  readonly printKey?: boolean;
  readonly output: OutputFormat;
}

export function auditVerify(command: Command, host: CommandHost): void {
  addSourceFlags(command)
    .addOption(
      repeatedOption(
        '--key <key>',
        'public key that must have signed it: base64, or a file with it; may be repeated',
        (text) => text,
      ),
    )
    .option('--head <file>', 'audit-head.json of the data folder: what it names must be in the log')
    .addOption(switchOption('--open', 'the server still writes to it: the end need not be signed'))
    .addOption(switchOption('--print-key', 'prints the public keys that signed it, and nothing else'))
    .addOption(outputOption());
  addExamples(command, [
    'bonafide-server audit verify --file /var/log/bonafide/audit.log',
    'bonafide-server audit verify --file /var/log/bonafide --open --key audit.pub',
    'bonafide-server audit verify --database --config server.yaml --open',
  ]).action(async (flags: VerifyFlags) => {
    const chains = await verifiedChains(flags, host);
    if (flags.printKey === true) {
      for (const key of new Set(chains.flatMap(({ keys }) => keys))) host.stdout.write(`${key}\n`);
    } else {
      printAnswer(host, flags.output, {
        json: () => ({ chains: chains.map(jsonOf) }),
        pretty: () => chains.map(textOf).join(''),
      });
    }
    const count = chains.reduce((sum, { problems }) => sum + problems.length, 0);
    if (count > 0) {
      throw new BonafideError(
        'failed_precondition',
        `the audit log is not as it was written: ${count} ${count === 1 ? 'problem' : 'problems'}`,
      );
    }
  });
}

async function verifiedChains(flags: VerifyFlags, host: CommandHost): Promise<readonly VerifiedChain[]> {
  const { ChainVerifier } = await import('../../audit/verify-chain.js');
  const options = {
    keys: await Promise.all((flags.key ?? []).map(keyText)),
    isOpen: flags.open === true,
    expected: flags.head === undefined ? undefined : await headIn(flags.head),
  };
  // A database holds a chain for each server; files are one chain.
  const verifiers = new Map<string | undefined, ChainVerifier>();
  for await (const { bytes, where, isEnded, serverId } of sourceLines(flags, host)) {
    const verifier = verifiers.get(serverId) ?? new ChainVerifier(options);
    verifiers.set(serverId, verifier);
    await verifier.add(bytes, where, isEnded);
  }
  if (verifiers.size === 0) verifiers.set(undefined, new ChainVerifier(options));
  return [...verifiers.values()].map((verifier) => verifier.end());
}

async function keyText(text: string): Promise<string> {
  const content = await readFile(text, 'utf8').catch(() => text);
  return content.trim();
}

async function headIn(path: string): Promise<ChainHead> {
  const { readHeadFile } = await import('../../audit/head-file.js');
  const head = await readHeadFile(path);
  if (head === undefined)
    throw invalidArgument(`${path} is no head of an audit log; expected audit-head.json`);
  return head;
}

function jsonOf({
  problems,
  serverId = '',
  records,
  checkpoints,
  keys,
  unsigned,
  first,
  last,
}: VerifiedChain): Readonly<Record<string, JsonValue>> {
  return {
    server_id: serverId,
    valid: problems.length === 0,
    ...{ records, checkpoints, unsigned, keys },
    first_seq: first?.seq ?? 0,
    last_seq: last?.seq ?? 0,
    last_hash: last?.hash ?? '',
    problems: problems.map(({ where, message }) => ({ where, message })),
  };
}

function textOf({ problems, serverId, records, checkpoints, unsigned, first, last }: VerifiedChain): string {
  const lines = problems.map(({ where, message }) => `${where}: ${message}\n`);
  if (records === 0) return lines.join('');
  const range = `${records} records (${first?.seq ?? 0} to ${last?.seq ?? 0}) of the server ${serverId ?? ''}`;
  const signed = `${checkpoints} signatures, ${unsigned} records after the last one`;
  const verdict = problems.length === 0 ? 'The audit log is as it was written' : 'The audit log is damaged';
  return `${lines.join('')}${verdict}: ${range}; ${signed}.\n`;
}
