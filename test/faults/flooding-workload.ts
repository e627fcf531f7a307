/** A process of another user that opens connections and makes calls as fast as it can, and tells what became of them. */
import { once } from 'node:events';
import { spawnAs, type Account } from '@bonafide/testing/run-as';

export interface Flood {
  readonly socketPath: string;
  /** Tried, and held open as long as the calls take. */
  readonly connections: number;
  readonly calls: number;
  /** A slow machine makes fewer calls. */
  readonly limitMs: number;
}

export interface FloodOutcome {
  readonly connectionsHeld: number;
  readonly connectionsRefused: number;
  /** How many calls ended with each gRPC status; -1: with their connection. */
  readonly statuses: Readonly<Record<string, number>>;
  /** What each status said first. */
  readonly messages: Readonly<Record<string, string>>;
  /** The hint of the first call that was refused with one. */
  readonly retryAfterMs?: number;
}

/** Node's own modules only, so that a user who may not read this repository can run it. */
const SCRIPT = String.raw`
const http2 = require('node:http2');
const net = require('node:net');
const { connections, calls, limitMs, socketPath } = JSON.parse(process.argv[1]);
const SESSIONS = 20;
const CALLS_AT_ONCE = 50;
const ATTEMPTS_AT_ONCE = 100;
const statuses = {};
const messages = {};
const held = new Set();
let connectionsRefused = 0;
let retryAfterMs;
let made = 0;
let tried = 0;
const endsAt = Date.now() + limitMs;

async function openConnections() {
  await Promise.all(Array.from({ length: ATTEMPTS_AT_ONCE }, async () => {
    while (tried < connections && Date.now() < endsAt) {
      tried += 1;
      await new Promise((resolve) => {
        const socket = net.connect(socketPath);
        const gone = () => {
          if (!held.delete(socket)) return;
          connectionsRefused += 1;
          resolve();
        };
        held.add(socket);
        socket.on('error', gone).on('close', gone).once('data', resolve).resume();
      });
    }
  }));
}

function call(session) {
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST', ':path': '/SpiffeWorkloadAPI/FetchX509SVID', 'content-type': 'application/grpc', te: 'trailers', 'workload.spiffe.io': 'true',
    });
    let status = '-1';
    const note = (fields) => {
      if (fields['grpc-status'] === undefined) return;
      status = String(fields['grpc-status']);
      messages[status] ??= decodeURIComponent(fields['grpc-message'] ?? '');
      retryAfterMs ??= fields['retry-after-ms'];
    };
    stream.on('response', note).on('trailers', note).on('error', () => undefined).resume();
    stream.on('close', () => {
      statuses[status] = (statuses[status] ?? 0) + 1;
      resolve();
    });
    stream.end(Buffer.alloc(5));
  });
}

async function lane() {
  let session;
  while (made < calls && Date.now() < endsAt) {
    if (session === undefined || session.closed || session.destroyed) {
      session = http2.connect('http://localhost', { createConnection: () => net.connect(socketPath) });
      session.on('error', () => undefined);
    }
    await Promise.all(Array.from({ length: CALLS_AT_ONCE }, async () => {
      while (made < calls && Date.now() < endsAt && !session.closed && !session.destroyed) {
        made += 1;
        await call(session);
      }
    }));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  session?.destroy();
}

Promise.all([openConnections(), ...Array.from({ length: SESSIONS }, lane)]).then(() => {
  const outcome = { connectionsHeld: held.size, connectionsRefused, statuses, messages };
  if (retryAfterMs !== undefined) outcome.retryAfterMs = Number(retryAfterMs);
  process.stdout.write(JSON.stringify(outcome), () => process.exit());
});
`;

/** Resolves once the flood is over and its process gone. */
export async function flood(options: Flood, account: Account): Promise<FloodOutcome> {
  const args = ['-e', SCRIPT, '--', JSON.stringify(options)];
  const child = spawnAs(account, process.execPath, args, { stdio: 'pipe', cwd: '/' });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await once(child, 'close');
  try {
    return JSON.parse(stdout) as FloodOutcome;
  } catch (error) {
    throw new Error(`the flood ended early: ${stdout}${stderr}`, { cause: error });
  }
}
