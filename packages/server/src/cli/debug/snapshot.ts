/** `debug snapshot`: what the running server knows of itself, in a file. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import {
  addDebugSnapshotFlags,
  writeDebugSnapshot,
  type DebugSnapshotFlags,
} from '@bonafide/shared/cli/debug-snapshot';
import { addExamples } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

const SERVICE = 'bonafide.debug.v1.Snapshots';
/** The server stands still meanwhile. */
const HEAP_LIMIT_MS = 600_000;

export function debugSnapshot(command: Command, host: CommandHost): void {
  addServerFlags(addDebugSnapshotFlags(command));
  addExamples(command, [
    'bonafide-server debug snapshot --output snapshot.json',
    'bonafide-server debug snapshot --output snapshot.json --cpu-profile 10',
  ]).action((flags: DebugSnapshotFlags & ServerFlags) =>
    withServer(flags, host, (server) =>
      writeDebugSnapshot(
        flags,
        {
          snapshot: async () => (await server.call(SERVICE, 'takeSnapshot', {})).json,
          cpuProfile: async (seconds) => (await server.call(SERVICE, 'profileCpu', { seconds })).json,
          heap: () =>
            server.call(SERVICE, 'writeHeap', { acceptsPrivateKeys: true }, undefined, HEAP_LIMIT_MS),
        },
        host,
      ),
    ),
  );
}
