/** The Snapshots services of server and agent, which are alike: see `Snapshots`. */
import { invalidArgument } from '../errors/bonafide-error.js';
import type { Snapshots } from '../snapshot/snapshots.js';
import type { CallContext, ContextOf } from './call-context.js';
import { unaryHandler } from './handler.js';
import type { Handlers } from './load-service.js';

export function createSnapshotHandlers<Context extends CallContext>(
  snapshots: Snapshots,
  contextOf: ContextOf<Context>,
): Handlers<'bonafide.debug.v1.Snapshots'> {
  return {
    TakeSnapshot: unaryHandler(contextOf, async (_request, _call, { log }) => {
      log.info('a debug snapshot is taken');
      return { json: JSON.stringify(await snapshots.take()) };
    }),

    ProfileCpu: unaryHandler(
      contextOf,
      async ({ seconds }: { readonly seconds: number }, _call, { log, signal }) => {
        log.info({ seconds }, 'the processor is profiled');
        return { json: await snapshots.profileCpu(seconds, signal) };
      },
    ),

    WriteHeap: unaryHandler(contextOf, ({ acceptsPrivateKeys }: { readonly acceptsPrivateKeys: boolean }) => {
      if (!acceptsPrivateKeys) {
        throw invalidArgument('a heap holds private keys; say with accepts_private_keys that this is known');
      }
      return snapshots.writeHeap();
    }),
  };
}
