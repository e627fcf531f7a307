/** `explain`: why a process has the identity that it has, or none. */
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { CommandExit } from '@bonafide/shared/cli/command-exit';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import {
  BonafideError,
  errorMessage,
  hasReason,
  invalidArgument,
} from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { ConnectedProcess__Output as ConnectedProcess } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ConnectedProcess';
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { readPeerCredentials, socketDescriptor } from '@bonafide/shared/unix-socket/peer-credentials';
import type { Command } from 'commander';
import { askAdmin, type AdminSocketFlags } from '../admin-socket.js';
import { SECURITY_HEADER } from '../api/workload-call.js';
import { createSocketClient, explainUnreachable, workloadSocketPath } from '../workload-socket.js';
import { explainText, isServed } from './explain-text.js';
import { connectedText } from './process-text.js';

interface ExplainFlags extends AdminSocketFlags {
  readonly pid?: number;
  readonly socketPeer?: string;
  readonly connected?: boolean;
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.agent.v1.Explain';
/** What there is to say about it has been printed. */
const EXIT_NO_IDENTITY = 1;
const LIMIT_MS = 30_000;
const LIST_LIMIT_MS = 120_000;
const CONNECT_LIMIT_MS = 5_000;

export function explain(command: Command, host: CommandHost): void {
  command
    .addOption(
      valueOption('--pid <pid>', 'the process to explain; this command itself unless told', parsePid),
    )
    .option('--socket-peer <path>', 'the process that listens on this Unix socket')
    .addOption(switchOption('--connected', 'lists who is connected to the Workload API, with SPIFFE IDs'))
    .option(
      '--socket-path <path>',
      "the agent's admin socket; without a flag that names a process, the Workload API's socket",
    )
    .option('--config <file>', "the agent's configuration file, which names its admin socket")
    .addOption(outputOption());
  addExamples(command, [
    'bonafide-agent explain --pid 4242 --config conf/agent/agent.yaml',
    'bonafide-agent explain --socket-peer /run/web/web.sock',
    'bonafide-agent explain --connected',
    'bonafide-agent explain --socket-path /run/bonafide/agent.sock',
  ]).action(async (flags: ExplainFlags) => {
    const named = [flags.pid, flags.socketPeer, flags.connected].filter((flag) => flag !== undefined);
    if (named.length > 1)
      throw invalidArgument('--pid, --socket-peer and --connected exclude each other; expected one of them');
    if (flags.connected === true) {
      printConnected(await askWhoIsConnected(flags), flags, host);
      return;
    }
    const explanation = await askToExplain(flags, host);
    printAnswer(host, flags.output, {
      json: () => protoJson(SERVICE, 'bonafide.agent.v1.Explanation', explanation),
      pretty: () => explainText(explanation),
    });
    if (!isServed(explanation)) throw new CommandExit(EXIT_NO_IDENTITY);
  });
}

async function askToExplain(flags: ExplainFlags, host: CommandHost): Promise<Explanation> {
  const pid = flags.socketPeer === undefined ? flags.pid : await pidBehind(resolve(flags.socketPeer));
  if (pid === undefined) return await askAboutMyself(flags, host);
  return askExplain(flags, (client) =>
    callUnary(client, 'ExplainProcess', { pid }, { deadlineMs: LIMIT_MS }),
  );
}

async function askAboutMyself(flags: ExplainFlags, { environment }: CommandHost): Promise<Explanation> {
  if (flags.config !== undefined) {
    throw invalidArgument('--config needs a process to explain; add --pid, --socket-peer or --connected');
  }
  const path = workloadSocketPath(flags, environment);
  const client = createSocketClient(path, 'bonafide.agent.v1.SelfExplain');
  try {
    const settings = { deadlineMs: LIMIT_MS, metadata: SECURITY_HEADER };
    return await callUnary(client, 'ExplainCaller', {}, settings);
  } catch (error) {
    throw notExplaining(explainUnreachable(error, path));
  } finally {
    client.close();
  }
}

function askWhoIsConnected(flags: ExplainFlags): Promise<readonly ConnectedProcess[]> {
  return askExplain(flags, async (client) => {
    const connected: ConnectedProcess[] = [];
    const messages = openServerStream(client, 'ListConnected', {}, { deadlineMs: LIST_LIMIT_MS });
    for await (const message of messages) connected.push(message);
    return connected;
  });
}

async function askExplain<Answer>(
  flags: ExplainFlags,
  ask: (client: ServiceClient<typeof SERVICE>) => Promise<Answer>,
): Promise<Answer> {
  try {
    return await askAdmin(flags, SERVICE, ask);
  } catch (error) {
    throw notExplaining(error);
  }
}

function printConnected(
  connected: readonly ConnectedProcess[],
  { output }: ExplainFlags,
  host: CommandHost,
): void {
  printAnswer(host, output, {
    json: () => ({
      processes: connected.map((each) => protoJson(SERVICE, 'bonafide.agent.v1.ConnectedProcess', each)),
    }),
    pretty: () => connectedText(connected),
  });
}

/** An agent that is older than this command, or none of ours. */
function notExplaining(error: unknown): unknown {
  if (!hasReason(error, 'unimplemented')) return error;
  return new BonafideError(
    'unimplemented',
    'the agent at this socket does not explain: it is another one, or older',
    {
      cause: error,
    },
  );
}

/** Of the process that called listen(2), as the kernel remembers it: for a socket that was handed on, the one that made it. */
async function pidBehind(path: string): Promise<number> {
  const socket = connect(path);
  try {
    await new Promise<void>((connected, failed) => {
      socket.once('connect', connected);
      socket.once('error', failed);
      socket.setTimeout(CONNECT_LIMIT_MS, () => {
        failed(new Error('nobody accepts the connection'));
      });
    });
    return readPeerCredentials(socketDescriptor(socket)).pid;
  } catch (error) {
    throw new BonafideError('unavailable', `cannot learn who listens on ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  } finally {
    socket.destroy();
  }
}

function parsePid(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw invalidArgument(`${JSON.stringify(text)} is no process ID`);
}
