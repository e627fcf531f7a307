/** A process that is many connected agents: each has its own SVID, its own TLS connection and its own Watch stream. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { pollEntries } from '@bonafide/agent/sync/poll-entries';
import { watchEntries } from '@bonafide/agent/sync/watch-entries';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { attestNodes, inLanes, type NodeServer } from './attest-nodes.js';

export interface FleetOrder {
  readonly server: NodeServer;
  readonly agents: number;
  /** A SPIFFE ID that all of them have beside their own. */
  readonly aliasPath: string;
}
export type Question =
  /** To be answered at once, and again when every agent has the entry. */
  | { readonly kind: 'expect'; readonly spiffeId: string }
  /** Every agent polls as agents of SPIRE do, once, evenly over the time. */
  | { readonly kind: 'poll'; readonly overMs: number };
export type Answer =
  /** Comes once by itself. */
  | { readonly kind: 'connected' }
  | { readonly kind: 'expecting' }
  | { readonly kind: 'delivered' }
  | { readonly kind: 'polled' }
  | { readonly kind: 'failed'; readonly message: string };

const AT_A_TIME = 32;

const order = JSON.parse(process.argv[2] ?? '{}') as FleetOrder;
let expected = { spiffeId: '', missing: 0 };

process.on('message', (question: Question) => {
  if (question.kind === 'expect') {
    expected = { spiffeId: question.spiffeId, missing: order.agents };
    answer({ kind: 'expecting' });
    return;
  }
  pollAll(question.overMs).then(() => {
    answer({ kind: 'polled' });
  }, fail);
});
process.on('disconnect', () => process.exit());

const connections = await attestNodes(order.server, order.agents, order.aliasPath);
await inLanes(connections.length, AT_A_TIME, async (index) => {
  const connection = connections[index];
  if (connection !== undefined) await follow(connection);
});
answer({ kind: 'connected' });

/** Resolves when the agent has its snapshot. */
function follow(connection: ServerConnection): Promise<void> {
  return new Promise((resolve) => {
    watchEntries({
      channel: connection.channel(),
      cursor: undefined,
      agentVersion: '',
      signal: new AbortController().signal,
      apply: (change) => {
        resolve();
        if (change.kind !== 'delta') return;
        for (const { spiffeId } of change.upsertedEntries) {
          if (spiffeId !== expected.spiffeId) continue;
          expected.missing -= 1;
          if (expected.missing === 0) answer({ kind: 'delivered' });
        }
      },
    }).then(() => {
      fail(new Error('the server ended a watch stream'));
    }, fail);
  });
}

async function pollAll(overMs: number): Promise<void> {
  await Promise.all(
    connections.map(async (connection, index) => {
      await sleep((overMs * index) / connections.length);
      const signal = new AbortController().signal;
      await pollEntries({
        channel: connection.channel(),
        known: () => undefined,
        log: silentLogger,
        signal,
      });
    }),
  );
}

function answer(message: Answer): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  answer({ kind: 'failed', message: String(error) });
}
