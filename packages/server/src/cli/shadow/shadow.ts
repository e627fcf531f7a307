/** `shadow`: compares what a SPIRE server that runs would give each agent with what this one would. */
import { CommandExit } from '@bonafide/shared/cli/command-exit';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, integerBetween, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { Command } from 'commander';
import { compareRegistries } from '../../shadow/compare-registries.js';
import { differenceJson, differenceText, type Difference } from '../../shadow/difference.js';
import { confirmedLook, followDifferences, type Look } from '../../shadow/follow-differences.js';
import { loadServerConfig } from '../config-flags.js';
import { listRegistry } from '../import/list-registry.js';
import { ServerConnection } from '../server-connection.js';
import { addServerFlags, adminSocketPath, type ServerFlags } from '../server-flags.js';
import { SpireSource, type SpireSourceFlags } from './spire-source.js';

interface ShadowFlags extends ServerFlags, SpireSourceFlags {
  readonly config?: string;
  readonly interval: number;
  readonly once?: boolean;
  readonly output: OutputFormat;
}

const DEFAULT_INTERVAL_SECONDS = 30;
const EXIT_DIFFERENT = 1;

export function shadow(command: Command, host: CommandHost): void {
  command
    .option('--spire-socket <path>', "admin socket of SPIRE's server")
    .option('--spire-address <host:port>', "SPIRE's server over TCP, asked under the SVID of an admin")
    .option('--spire-svid <file>', 'with --spire-address: the X.509-SVID of an admin, PEM')
    .option('--spire-key <file>', 'its private key, PEM')
    .option('--spire-bundle <file>', "the X.509 authorities that SPIRE's server is believed by, PEM")
    .option(
      '--spire-workload-api <path>',
      'in place of the three files: the socket of an agent that has all of it',
    )
    .option('--config <file>', 'configuration of this server, which names its admin socket')
    .addOption(
      valueOption('--interval <seconds>', 'between two looks', integerBetween(1, 86_400)).default(
        DEFAULT_INTERVAL_SECONDS,
      ),
    )
    .addOption(switchOption('--once', 'looks once: exit code 1 when anything differs'))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server shadow --spire-socket /tmp/spire-server/private/api.sock --socket-path /run/bonafide/server.sock --once',
    'bonafide-server shadow --spire-socket /tmp/spire-server/private/api.sock --config server.yaml --interval 60',
    'bonafide-server shadow --spire-address spire.example.org:8081 --spire-workload-api /tmp/spire-agent/public/api.sock --config server.yaml --once',
    'bonafide-server shadow --spire-address spire.example.org:8081 --spire-svid svid.pem --spire-key key.pem --spire-bundle bundle.pem --config server.yaml',
  ]).action(async (flags: ShadowFlags) => {
    const spire = new SpireSource(flags);
    const ours = new ServerConnection(await ownSocket(flags, host));
    const alive = keepProcessAlive();
    const signal = host.stopSignal();
    try {
      const follow = {
        look: () => lookAt(spire, ours, host, signal),
        clock: host.clock,
        intervalMs: flags.interval * 1000,
        signal,
      };
      if (flags.once === true) printOnce(host, flags.output, await confirmedLook(follow));
      else await printContinuously(host, flags.output, follow);
    } finally {
      alive();
      ours.close();
    }
  });
}

async function ownSocket(flags: ShadowFlags, host: CommandHost): Promise<string> {
  if (flags.config === undefined) return adminSocketPath(flags, host.environment);
  if (flags.socketPath !== undefined) throw invalidArgument('expected one of --config and --socket-path');
  return (await loadServerConfig({ config: flags.config }, host, () => undefined)).server.socket_path;
}

async function lookAt(
  spire: SpireSource,
  ours: ServerConnection,
  host: CommandHost,
  signal: AbortSignal,
): Promise<Look> {
  const own = bundleFromProto(await ours.call('spire.api.server.bundle.v1.Bundle', 'getBundle', {}));
  const { trustDomain } = own;
  const [theirs, here] = await Promise.all([
    spire.ask(trustDomain, signal, listRegistry),
    listRegistry(ours),
  ]);
  if (theirs.bundle.trustDomain !== trustDomain) {
    throw new BonafideError(
      'failed_precondition',
      `SPIRE's server is of trust domain ${theirs.bundle.trustDomain}, this one of ${trustDomain}`,
    );
  }
  return {
    differences: compareRegistries(theirs, here, host.clock.now()),
    entries: theirs.entries.length,
    agents: theirs.nodes.length,
  };
}

function printOnce(host: CommandHost, output: OutputFormat, { differences, entries, agents }: Look): void {
  printAnswer(host, output, {
    json: () => ({ entries, agents, differences: differences.map(differenceJson) }),
    pretty: () =>
      [
        ...differences.map(differenceText),
        differences.length === 0
          ? `No differences in ${entries} entries and ${agents} agents.`
          : `${differences.length} differences in ${entries} entries and ${agents} agents.`,
        '',
      ].join('\n'),
  });
  if (differences.length > 0) throw new CommandExit(EXIT_DIFFERENT);
}

async function printContinuously(
  host: CommandHost,
  output: OutputFormat,
  follow: Parameters<typeof followDifferences>[0],
): Promise<void> {
  const print = (state: 'appeared' | 'settled', difference: Difference): void => {
    const time = host.clock.now().toISOString();
    printAnswer(host, output, {
      json: () => ({ time, state, difference: differenceJson(difference) }),
      pretty: () => `${time} ${state === 'appeared' ? '+' : '-'} ${differenceText(difference)}\n`,
    });
  };
  const steps = followDifferences(follow, (error) => {
    host.stderr.write(`cannot compare, trying again: ${errorMessage(error)}\n`);
  });
  for await (const { appeared, settled } of steps) {
    for (const difference of settled) print('settled', difference);
    for (const difference of appeared) print('appeared', difference);
  }
}
