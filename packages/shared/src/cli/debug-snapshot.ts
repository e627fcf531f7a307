/** `debug snapshot` of server and agent: what a running program knows of itself, as files for whoever looks for a fault. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomic } from '../runtime/private-file.js';
import { LONGEST_PROFILE_SECONDS } from '../snapshot/profile-seconds.js';
import type { CommandHost } from './command-host.js';
import { integerBetween, switchOption, valueOption } from './option-values.js';

export interface DebugSnapshotFlags {
  readonly output: string;
  readonly cpuProfile?: number;
  readonly heap?: boolean;
}

/** How the program is asked. */
export interface AskedProgram {
  /** JSON. */
  snapshot(): Promise<string>;
  /** JSON. */
  cpuProfile(seconds: number): Promise<string>;
  heap(): Promise<{ readonly path: string; readonly size: number }>;
}

export function addDebugSnapshotFlags(command: Command): Command {
  return command
    .requiredOption('--output <file>', 'where to write the snapshot; only its owner will be able to read it')
    .addOption(
      valueOption(
        '--cpu-profile <seconds>',
        `records what the processor does for 1 to ${LONGEST_PROFILE_SECONDS} seconds, beside the snapshot`,
        integerBetween(1, LONGEST_PROFILE_SECONDS),
      ),
    )
    .addOption(
      switchOption(
        '--heap',
        'has the program write its heap, with every private key in it, into its data folder; it stands still meanwhile',
      ),
    );
}

export async function writeDebugSnapshot(
  { output, cpuProfile, heap }: DebugSnapshotFlags,
  program: AskedProgram,
  { stdout, stderr }: Pick<CommandHost, 'stdout' | 'stderr'>,
): Promise<void> {
  const path = resolve(output);
  const snapshot: unknown = JSON.parse(await program.snapshot());
  await writeFileAtomic(path, `${JSON.stringify(snapshot, undefined, 2)}\n`);
  stdout.write(`Snapshot written to ${path}\n`);
  if (cpuProfile !== undefined) {
    const profilePath = `${path.replace(/\.json$/, '')}.cpuprofile`;
    await writeFileAtomic(profilePath, await program.cpuProfile(cpuProfile));
    stdout.write(`Processor profile written to ${profilePath}\n`);
  }
  if (heap === true) {
    const { path: heapPath, size } = await program.heap();
    stdout.write(`Heap of ${size} bytes written to ${heapPath} on the machine of the program\n`);
    stderr.write('Warning: the heap holds private keys; give it to nobody, and delete it after use.\n');
  }
}
