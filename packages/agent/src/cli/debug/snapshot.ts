/** `debug snapshot`: what the running agent knows of itself, in a file. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import {
  addDebugSnapshotFlags,
  writeDebugSnapshot,
  type DebugSnapshotFlags,
} from '@bonafide/shared/cli/debug-snapshot';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { Command } from 'commander';
import { addAdminSocketFlags, askAdmin, type AdminSocketFlags } from '../admin-socket.js';

const SERVICE = 'bonafide.debug.v1.Snapshots';
const CALL = { deadlineMs: 60_000 };
/** The agent stands still meanwhile. */
const HEAP_CALL = { deadlineMs: 600_000 };

export function debugSnapshot(command: Command, host: CommandHost): void {
  addAdminSocketFlags(addDebugSnapshotFlags(command));
  addExamples(command, [
    'bonafide-agent debug snapshot --output snapshot.json',
    'bonafide-agent debug snapshot --output snapshot.json --cpu-profile 10',
  ]).action((flags: DebugSnapshotFlags & AdminSocketFlags) =>
    askAdmin(flags, SERVICE, (client) =>
      writeDebugSnapshot(
        flags,
        {
          snapshot: async () => (await callUnary(client, 'TakeSnapshot', {}, CALL)).json,
          cpuProfile: async (seconds) => (await callUnary(client, 'ProfileCpu', { seconds }, CALL)).json,
          heap: () => callUnary(client, 'WriteHeap', { acceptsPrivateKeys: true }, HEAP_CALL),
        },
        host,
      ),
    ),
  );
}
