/** A command's line to the server: calls over the admin Unix socket, or to a server elsewhere; failures say what the operator can do. */
import { stat } from 'node:fs/promises';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openBidiStream, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { UnaryMethodName, UnaryRequest, UnaryResponse } from '@bonafide/shared/rpc/client-methods';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { EntryPlanRequest } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanRequest';
import type { EntryPlanResponse__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanResponse';
import type { WaitForDeliveryRequest } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/WaitForDeliveryRequest';
import type { WaitForDeliveryResponse__Output } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/WaitForDeliveryResponse';
import { revisionsIn } from '@bonafide/shared/rpc/revision-header';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { credentials, type ChannelCredentials, type ChannelOptions, type Metadata } from '@grpc/grpc-js';
import { adminSocketPath, type ServerFlags } from './server-flags.js';

const CALL_LIMIT_MS = 60_000;
/** Thousands of entries are one transaction. */
const PLAN_LIMIT_MS = 600_000;
const LARGEST_ANSWER_BYTES = 256 * 1024 * 1024;

/** A server that is reached over TCP. */
export interface RemoteServer {
  /** Host and port. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

export class ServerConnection {
  readonly #server: string | RemoteServer;
  readonly #clients = new Map<ServiceName, ServiceClient<ServiceName>>();
  readonly #committed: number[] = [];

  /** @param server the path of its admin socket, or where it is. */
  constructor(server: string | RemoteServer) {
    this.#server = server;
  }

  /** What the calls so far have committed, as the server says. */
  get committedRevisions(): readonly number[] {
    return this.#committed;
  }

  /** @throws BonafideError with the server's own reason, or `unavailable` saying why the server cannot be reached. */
  async call<Name extends ServiceName, Method extends UnaryMethodName<ServiceClient<Name>>>(
    service: Name,
    method: Method,
    request: UnaryRequest<ServiceClient<Name>[Method]>,
    onHeaders: (headers: Metadata) => void = () => undefined,
    deadlineMs = CALL_LIMIT_MS,
  ): Promise<UnaryResponse<ServiceClient<Name>[Method]>> {
    try {
      return await callUnary(this.#client(service), method, request, {
        deadlineMs,
        onHeaders: (headers) => {
          this.#committed.push(...revisionsIn(headers));
          onHeaders(headers);
        },
      });
    } catch (error) {
      throw hasReason(error, 'unavailable') ? await explainUnavailable(this.#server, error) : error;
    }
  }

  /** @throws BonafideError as `call`. */
  waitForDelivery(
    request: WaitForDeliveryRequest & { readonly timeoutMs: number },
  ): AsyncGenerator<WaitForDeliveryResponse__Output, undefined> {
    const deadlineMs = request.timeoutMs + CALL_LIMIT_MS;
    return openServerStream(this.#client('bonafide.sync.v1.Delivery'), 'WaitForDelivery', request, {
      deadlineMs,
    });
  }

  /** Sends all messages, then gives the answers. @throws BonafideError as `call`. */
  async *planEntries(
    method: 'PlanEntries' | 'ApplyEntries',
    requests: Iterable<EntryPlanRequest>,
  ): AsyncGenerator<EntryPlanResponse__Output, undefined> {
    const stream = openBidiStream(this.#client('bonafide.entry.v1.EntryPlan'), method, {
      deadlineMs: PLAN_LIMIT_MS,
    });
    try {
      for (const request of requests) await stream.send(request);
      stream.end();
      for await (const answer of stream.messages) {
        const revision = answer.summary?.appliedRevision ?? 0;
        if (revision > 0) this.#committed.push(revision);
        yield answer;
      }
    } catch (error) {
      throw hasReason(error, 'unavailable') ? await explainUnavailable(this.#server, error) : error;
    } finally {
      stream.cancel();
    }
    return undefined;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client<Name extends ServiceName>(service: Name): ServiceClient<Name> {
    const present = this.#clients.get(service);
    // The map holds under each name a client of that service only.
    if (present !== undefined) return present;
    const { Client } = loadService(service);
    const limits = { 'grpc.max_receive_message_length': LARGEST_ANSWER_BYTES };
    const client =
      typeof this.#server === 'string'
        ? new Client(`unix:${this.#server}`, credentials.createInsecure(), limits)
        : new Client(this.#server.address, this.#server.credentials, { ...this.#server.options, ...limits });
    this.#clients.set(service, client);
    return client;
  }
}

/** Connects, works, and hangs up however the work ends. */
export async function withServer<T>(
  flags: ServerFlags,
  host: CommandHost,
  work: (server: ServerConnection) => Promise<T>,
): Promise<T> {
  const server = new ServerConnection(adminSocketPath(flags, host.environment));
  try {
    return await work(server);
  } finally {
    server.close();
  }
}

async function explainUnavailable(
  server: string | RemoteServer,
  error: BonafideError,
): Promise<BonafideError> {
  const explanation =
    typeof server === 'string'
      ? ((await socketTrouble(server, error.message)) ?? error.message)
      : `cannot reach the server at ${server.address}: ${error.message}`;
  return new BonafideError('unavailable', explanation, { cause: error });
}

/** Undefined when the socket is well and the server itself said that it is unavailable. */
async function socketTrouble(socketPath: string, message: string): Promise<string | undefined> {
  const how = "start it with 'bonafide-server run --config FILE', or name its socket with --socket-path";
  try {
    if (!(await stat(socketPath)).isSocket())
      return `${socketPath} is not a socket; name the server's with --socket-path`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') return noPermission(socketPath);
    return `the server is not running: there is no socket ${socketPath}; ${how}`;
  }
  if (message.includes('EACCES') || message.includes('EPERM')) return noPermission(socketPath);
  if (message.includes('ECONNREFUSED')) {
    return `the server is not running: nobody listens on ${socketPath}; ${how}`;
  }
  return undefined;
}

function noPermission(socketPath: string): string {
  return `no permission to use ${socketPath}; run this as root or as the user that the server runs as`;
}
