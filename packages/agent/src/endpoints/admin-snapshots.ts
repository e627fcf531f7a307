/** bonafide.debug.v1.Snapshots on the admin socket. */
import type { Server } from '@grpc/grpc-js';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { createSnapshotHandlers } from '@bonafide/shared/rpc/snapshot-service';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Snapshots } from '@bonafide/shared/snapshot/snapshots';

export function addSnapshotService(
  server: Server,
  { snapshots, log }: { readonly snapshots: Snapshots; readonly log: Logger },
): void {
  const { definition } = loadService('bonafide.debug.v1.Snapshots');
  server.addService(definition, { ...createSnapshotHandlers(snapshots, callContexts(log)) });
}
