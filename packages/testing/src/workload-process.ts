/** A process of its own, of any user, that calls the Workload API byte by byte: also wrongly, without reading, or on an inherited socket. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { ControlGroup } from './control-group.js';
import { spawnAs, type Account } from './run-as.js';
import { waitFor } from './wait-for.js';

/** Node's own modules only, so that a user who may not read this repository can run it. */
const SCRIPT = String.raw`
const http2 = require('node:http2');
const net = require('node:net');
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const inherited = process.env.INHERITED_SOCKET;
let session;
const streams = new Map();
const commands = {
  connect({ path }) {
    const socket = inherited === undefined ? net.connect(path) : new net.Socket({ fd: Number(inherited), readable: true, writable: true });
    session = http2.connect('http://localhost', { createConnection: () => socket });
    session.on('error', (error) => say({ event: 'failed', message: error.message }));
    session.on('close', () => say({ event: 'disconnected' }));
    session.on('remoteSettings', () => say({ event: 'connected' }));
  },
  call({ id, method, headers, reads, request = '' }) {
    const stream = session.request({ ':method': 'POST', ':path': method, 'content-type': 'application/grpc', te: 'trailers', ...headers });
    streams.set(id, stream);
    let received = Buffer.alloc(0);
    let said = false;
    const status = (fields) => {
      if (fields['grpc-status'] === undefined || said) return;
      said = true;
      say({ event: 'status', id, code: Number(fields['grpc-status']), message: decodeURI(fields['grpc-message'] ?? '') });
    };
    stream.on('response', status);
    stream.on('trailers', status);
    stream.on('error', (error) => say({ event: 'failed', id, message: error.message }));
    if (reads) stream.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5 && received.length >= 5 + received.readUInt32BE(1)) {
        const end = 5 + received.readUInt32BE(1);
        say({ event: 'message', id, base64: received.subarray(5, end).toString('base64') });
        received = received.subarray(end);
      }
    });
    const body = Buffer.from(request, 'base64');
    const frame = Buffer.concat([Buffer.alloc(5), body]);
    frame.writeUInt32BE(body.length, 1);
    stream.end(frame);
  },
  cancel({ id }) {
    streams.get(id).close(http2.constants.NGHTTP2_CANCEL);
  },
};
require('node:readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { command, ...options } = JSON.parse(line);
    commands[command](options);
  })
  .on('close', () => inherited === undefined && process.exit());
say({ event: 'started', pid: process.pid });
if (inherited !== undefined) {
  // Nobody can tell this process anything once the caller has exited.
  commands.connect({});
  session.on('close', () => process.exit());
  setTimeout(() => process.exit(), 30_000);
  commands.call({ id: 1, method: process.env.INHERITED_METHOD, headers: { 'workload.spiffe.io': 'true' }, reads: true });
}
`;

/** Connects, starts the script with the connection, and becomes another program, which the kernel still takes for the caller. */
const CONNECT_FORK_EXEC = String.raw`
use Socket;
$^F = 20; # what is opened now survives exec
my ($groups, $path, $node, $script, $method, @become) = @ARGV;
for (split /:/, $groups) {
  open(my $members, '>', $_) or die "$_: $!";
  print $members $$;
  close($members) or die "$_: $!";
}
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
connect($socket, sockaddr_un($path)) or die "connect: $!";
if (fork() == 0) {
  $ENV{INHERITED_SOCKET} = fileno($socket);
  $ENV{INHERITED_METHOD} = $method;
  exec($node, '-e', $script) or die "exec: $!";
}
exec(@become) or die "exec: $!";
`;

export interface WorkloadStatus {
  readonly code: number;
  readonly message: string;
}

interface ScriptEvent {
  readonly event: 'started' | 'connected' | 'disconnected' | 'message' | 'status' | 'failed';
  readonly id?: number;
  readonly pid?: number;
  readonly base64?: string;
  readonly code?: number;
  readonly message?: string;
}

interface CallOptions {
  /** The security header unless told; a list sends the header several times. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** False: asks, but never takes anything from the connection. */
  readonly reads?: boolean;
  /** The encoded message; an empty one unless told. */
  readonly request?: Buffer;
}

interface HandingOver {
  readonly socketPath: string;
  readonly method: string;
  /** For example `['sleep', '60']`, or `['true']` for a caller that exits at once. */
  readonly program: readonly string[];
  /** In which it is before it connects; needs root. */
  readonly group?: ControlGroup;
}

export class WorkloadProcess implements Disposable {
  readonly child: ChildProcess;
  readonly #events: ScriptEvent[] = [];
  #stderr = '';
  #calls = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    if (child.stdout === null) throw new Error('the workload process has no standard output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as ScriptEvent);
    });
  }

  /** @param within a command that runs it, for example `['unshare', '--pid', '--fork', '--kill-child']`. */
  static async start(account?: Account, within: readonly string[] = []): Promise<WorkloadProcess> {
    const [command, ...args] = [...within, process.execPath, '-e', SCRIPT];
    const workload = new WorkloadProcess(spawnAs(account, command, args, { stdio: 'pipe', cwd: '/' }));
    await workload.#event('to start', ({ event }) => event === 'started');
    return workload;
  }

  /** The caller in the kernel's eyes becomes `program`, while a child of it makes a call, number 1, on its connection. Needs perl. */
  static async startHandingOver(
    { socketPath, method, program, group }: HandingOver,
    account?: Account,
  ): Promise<WorkloadProcess> {
    const args = [
      '-e',
      CONNECT_FORK_EXEC,
      '--',
      group?.memberFiles.join(':') ?? '',
      socketPath,
      process.execPath,
      SCRIPT,
      `/${method}`,
      ...program,
    ];
    const workload = new WorkloadProcess(spawnAs(account, 'perl', args, { stdio: 'pipe', cwd: '/' }));
    await workload.#event('to start', ({ event }) => event === 'started');
    return workload;
  }

  /** As it sees it itself: another one than ours when it lives in a pid namespace of its own. */
  get ownPid(): number {
    return this.#events.find(({ event }) => event === 'started')?.pid ?? -1;
  }

  /** Resolves once the other side has greeted. */
  async connect(path: string): Promise<void> {
    this.#command({ command: 'connect', path });
    const { event, message } = await this.#event(
      'to connect',
      ({ event, id }) => id === undefined && ['connected', 'failed', 'disconnected'].includes(event),
    );
    if (event !== 'connected') throw new Error(`cannot connect: ${message ?? event}`);
  }

  /** Opens a stream and returns its number. */
  call(
    method: string,
    { headers = { 'workload.spiffe.io': 'true' }, reads = true, request }: CallOptions = {},
  ): number {
    const id = (this.#calls += 1);
    const body = request === undefined ? {} : { request: request.toString('base64') };
    this.#command({ command: 'call', id, method: `/${method}`, headers, reads, ...body });
    return id;
  }

  cancel(id: number): void {
    this.#command({ command: 'cancel', id });
  }

  /** The messages of a call so far. */
  messages(id: number): readonly Buffer[] {
    return this.#events
      .filter((event) => event.event === 'message' && event.id === id)
      .map(({ base64 = '' }) => Buffer.from(base64, 'base64'));
  }

  async message(id: number, index = 0): Promise<Buffer> {
    return await waitFor(`message ${index} of call ${id}`, () => this.messages(id)[index], this.#explained());
  }

  async status(id: number): Promise<WorkloadStatus> {
    const { code = -1, message = '' } = await this.#event(
      'for a status',
      (event) => event.event === 'status' && event.id === id,
    );
    return { code, message };
  }

  /** Undefined while the call goes on. */
  statusNow(id: number): WorkloadStatus | undefined {
    const ended = this.#events.find((event) => event.event === 'status' && event.id === id);
    return ended && { code: ended.code ?? -1, message: ended.message ?? '' };
  }

  get isDisconnected(): boolean {
    return this.#events.some(({ event }) => event === 'disconnected');
  }

  async disconnected(): Promise<void> {
    await this.#event('to be disconnected', ({ event }) => event === 'disconnected');
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
  }

  #command(command: Readonly<Record<string, unknown>>): void {
    this.child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  async #event(what: string, matches: (event: ScriptEvent) => boolean): Promise<ScriptEvent> {
    return await waitFor(`the workload process ${what}`, () => this.#events.find(matches), this.#explained());
  }

  #explained(): { readonly explain: () => string } {
    return { explain: () => `${JSON.stringify(this.#events.slice(-5))}\n${this.#stderr}` };
  }
}
