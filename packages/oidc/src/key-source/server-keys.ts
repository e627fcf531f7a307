/** The keys of the server's own bundle, over its admin socket (spire.api.server.bundle.v1). */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { credentials } from '@grpc/grpc-js';
import type { FetchedKeys } from '../documents/published-keys.js';

const CALL_LIMIT_MS = 30_000;

export function createServerKeys(socketPath: string): {
  readonly fetch: (signal: AbortSignal) => Promise<FetchedKeys>;
  readonly close: () => void;
} {
  const { Client } = loadService('spire.api.server.bundle.v1.Bundle');
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
  });
  const request = { outputMask: { jwtAuthorities: true, refreshHint: true } };
  return {
    fetch: async (signal) => {
      const answer = await callUnary(client, 'GetBundle', request, { deadlineMs: CALL_LIMIT_MS, signal });
      const { jwtAuthorities, refreshHintSeconds } = bundleFromProto(answer);
      return { keys: jwtAuthorities, refreshHintSeconds };
    },
    close: () => {
      client.close();
    },
  };
}
