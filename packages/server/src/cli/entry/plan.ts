/** `entry plan`: what making the registry equal to a file would change; changes nothing. */
import { CommandExit } from '@bonafide/shared/cli/command-exit';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { showsColour } from '@bonafide/shared/cli/terminal';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { askPlan, type ShownPlan } from './ask-plan.js';
import type { PlanFile } from './plan-file.js';
import { planText } from './plan-text.js';

export interface PlanFlags extends ServerFlags {
  readonly file?: string;
  readonly prune?: boolean;
  readonly output: OutputFormat;
}

/** As `terraform plan -detailed-exitcode`: 0 is for no changes, 1 for what went wrong. */
const EXIT_CHANGES = 2;

export function entryPlan(command: Command, host: CommandHost): void {
  addPlanFlags(command);
  addExamples(command, [
    'bonafide-server entry plan -f entries.yaml',
    'bonafide-server entry plan -f entries.yaml --prune --output json',
  ]).action(async (flags: PlanFlags) => {
    const file = await planFile(flags, host);
    const plan = await withServer(flags, host, (server) =>
      askPlan(server, 'PlanEntries', file, { prune: flags.prune ?? false }),
    );
    printPlan(host, flags.output, plan);
    if (plan.changes.length > 0) throw new CommandExit(EXIT_CHANGES);
  });
}

export function addPlanFlags(command: Command): Command {
  return addServerFlags(
    command
      .option(
        '-f, --file <file>',
        `JSON or YAML file {"scope": {"spiffe_id_prefix": "..."}, "entries": [...]}, '-' for standard input`,
      )
      .addOption(
        switchOption('--prune', 'deletes entries in the scope of the file that the file does not have'),
      )
      .addOption(outputOption()),
  );
}

/** @throws BonafideError `invalid_argument`. */
export async function planFile({ file, prune }: PlanFlags, host: CommandHost): Promise<PlanFile> {
  if (file === undefined) throw invalidArgument('a file is required; add -f, for example -f entries.yaml');
  const { readPlanFile } = await import('./plan-file.js');
  const read = await readPlanFile(file, host);
  if (prune === true && !read.hasScope) {
    throw invalidArgument(
      `${read.name} does not say what it owns, so nothing can be pruned; add scope: {spiffe_id_prefix: spiffe://example.org/my-team}`,
    );
  }
  return read;
}

export function printPlan(host: CommandHost, output: OutputFormat, plan: ShownPlan): void {
  printMessage(host, output, {
    service: 'bonafide.entry.v1.EntryPlan',
    name: 'bonafide.entry.v1.EntryPlanResponse',
    message: plan,
    pretty: () => planText(plan, showsColour(host, 'stdout')),
  });
}
