/** A process that serves the Workload API and SDS to its own user, and beside it a bare grpc server, for measuring from outside. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { endpointLimits } from '@bonafide/agent/endpoints/endpoint-limits';
import { createWorkloadEndpoint } from '@bonafide/agent/endpoints/workload-endpoint';
import { sdsConfigSchema } from '@bonafide/agent/sds/sds-config';
import { WITHOUT_TOKENS } from '@bonafide/agent/token-svids/token-samples';
import { attestorHost } from '@bonafide/agent/workload-attestation/attestor-host-samples';
import { createWorkloadAttestation } from '@bonafide/agent/workload-attestation/attest-workload';
import {
  createWorkloadAttestors,
  workloadAttestorsConfigSchema,
} from '@bonafide/agent/workload-attestation/attestors';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities, type MemoryContent } from '@bonafide/testing/memory-identities';
import { TestAuthority } from '@bonafide/testing/test-authority';

export type Question = 'update' | 'memory';
/** `ready` comes once by itself; `memory` is the resident set in bytes; `updated` the milliseconds in which all streams were told. */
export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'memory'; readonly bytes: number }
  | { readonly kind: 'updated'; readonly ms: number };

const [, , socketPath = '', hashingSocketPath = '', bareSocketPath = ''] = process.argv;

const authority = await TestAuthority.create('example.org');
const identities = new MemoryIdentities(authority.trustDomain);
const contents = [await content(), await content()];
let turn = 0;
identities.set(nextContent());

await serve(socketPath, {});
await serve(hashingSocketPath, { discover_workload_path: true });
await serveBareUnary();

process.on('message', (question: Question) => {
  if (question === 'memory') {
    answer({ kind: 'memory', bytes: process.memoryUsage.rss() });
    return;
  }
  const startedMs = performance.now();
  identities.set(nextContent());
  setImmediate(() => {
    answer({ kind: 'updated', ms: performance.now() - startedMs });
  });
});
process.on('disconnect', () => process.exit());
answer({ kind: 'ready' });

function answer(message: Answer): void {
  process.send?.(message);
}

async function serve(path: string, unix: Readonly<Record<string, unknown>>): Promise<void> {
  const attestors = createWorkloadAttestors(workloadAttestorsConfigSchema.parse({ unix }), attestorHost());
  const endpoint = createWorkloadEndpoint({
    socketPath: path,
    identities,
    ...WITHOUT_TOKENS,
    attest: createWorkloadAttestation({ attestors, clock: systemClock, log: silentLogger }),
    clock: systemClock,
    log: silentLogger,
    limits: endpointLimits({ maxConnections: 5000, maxConnectionsPerUid: 5000, maxStreamsPerUid: 20_000 }),
    sds: sdsConfigSchema.parse({}),
  });
  await endpoint.listen();
}

async function content(): Promise<MemoryContent> {
  const svid = await authority.issueX509Svid('/ns/default/sa/workload-1');
  const selectors = [`unix:uid:${process.getuid?.() ?? -1}`];
  return { entries: [{ selectors, svid }], bundles: [authority.bundle()] };
}

function nextContent(): MemoryContent {
  turn += 1;
  return contents[turn % contents.length] ?? { entries: [], bundles: [] };
}

/** What the library alone can do: nothing identified, nothing looked up, an empty answer. */
async function serveBareUnary(): Promise<void> {
  const server = new Server();
  server.addService(loadService('grpc.health.v1.Health').definition, {
    Check: (_call: unknown, callback: (error: null, value: object) => void) => {
      callback(null, { status: 'SERVING' });
    },
  });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${bareSocketPath}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
