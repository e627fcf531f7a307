/** The Workload API as a workload calls it. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { valueOption } from '@bonafide/shared/cli/option-values';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { CallSettings } from '@bonafide/shared/rpc/client-call';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { Command } from 'commander';
import {
  addSocketFlags,
  createSocketClient,
  explainUnreachable,
  workloadSocketPath,
  type SocketFlags,
} from '../workload-socket.js';

/** SPIFFE Workload Endpoint section 5: keeps web pages from calling it by accident. */
export const SECURITY_HEADER = { 'workload.spiffe.io': 'true' };
const DEFAULT_TIMEOUT_SECONDS = 5;

export interface CallFlags extends SocketFlags {
  /** Seconds. */
  readonly timeout: number;
}

/** Where the socket is, and how long to wait for the answer. */
export function addCallFlags(command: Command): Command {
  command.addOption(
    valueOption('--timeout <duration>', 'how long to wait for the answer', parseDuration).default(
      DEFAULT_TIMEOUT_SECONDS,
      '5s',
    ),
  );
  return addSocketFlags(command);
}

/** @throws BonafideError as the agent answered, or saying that there is none. */
export async function callWorkloadApi<Answer>(
  flags: CallFlags,
  host: CommandHost,
  call: (client: ServiceClient<'SpiffeWorkloadAPI'>, settings: CallSettings) => Promise<Answer>,
): Promise<Answer> {
  const socketPath = workloadSocketPath(flags, host.environment);
  const client = createSocketClient(socketPath, 'SpiffeWorkloadAPI');
  const limit = flags.timeout > 0 ? { deadlineMs: flags.timeout * 1000 } : {};
  try {
    return await call(client, { ...limit, metadata: SECURITY_HEADER });
  } catch (error) {
    throw explainUnreachable(error, socketPath);
  } finally {
    client.close();
  }
}

/** The first message of a stream, of which no more is read. */
export async function firstOf<Message>(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new BonafideError('internal', 'the Workload API ended the stream without an answer');
}

/** Every answer until the reader stops. @throws BonafideError as the agent answered, or saying that there is none. */
export async function* fetchX509Svids(
  socketPath: string,
  settings: CallSettings,
): AsyncGenerator<X509SVIDResponse__Output, undefined> {
  const client = createSocketClient(socketPath, 'SpiffeWorkloadAPI');
  try {
    yield* openServerStream(client, 'FetchX509SVID', {}, { ...settings, metadata: SECURITY_HEADER });
  } catch (error) {
    throw explainUnreachable(error, socketPath);
  } finally {
    client.close();
  }
  return undefined;
}
