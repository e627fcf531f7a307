/** `entry apply`: makes the registry as a file says, in one revision, once the operator has seen the plan. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { printAnswer, type JsonValue } from '@bonafide/shared/cli/output';
import { protoJson } from '@bonafide/shared/cli/proto-json';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { STANDARD_INPUT } from '../read-input.js';
import { withServer } from '../server-connection.js';
import { askPlan, type ShownPlan } from './ask-plan.js';
import { addPlanFlags, planFile, printPlan, type PlanFlags } from './plan.js';
import { summaryText } from './plan-text.js';

interface ApplyFlags extends PlanFlags, WaitFlag {
  readonly yes?: boolean;
}

const LONGEST_ANSWER = 100;

export function entryApply(command: Command, host: CommandHost): void {
  addPlanFlags(command).addOption(switchOption('--yes', 'applies without asking')).addOption(waitOption());
  addExamples(command, [
    'bonafide-server entry apply -f entries.yaml',
    'bonafide-server entry apply -f entries.yaml --prune --yes --wait=10s',
  ]).action(async (flags: ApplyFlags) => {
    const { output, prune = false, yes = false } = flags;
    if (!yes && (flags.file === STANDARD_INPUT || output === 'json')) {
      throw invalidArgument('nobody can be asked whether to apply the plan; add --yes');
    }
    const file = await planFile(flags, host);
    await withServer(flags, host, async (server) => {
      let digest = '';
      if (!yes) {
        const shown = await askPlan(server, 'PlanEntries', file, { prune });
        printPlan(host, output, shown);
        if (shown.changes.length === 0) return;
        await confirm(host);
        // What was confirmed is applied, and nothing else.
        ({ digest } = shown.summary);
      }
      const applied = await askPlan(server, 'ApplyEntries', file, { prune, digest });
      const print = (delivery?: JsonValue): void => {
        report(host, flags, applied, delivery);
      };
      if (applied.summary.appliedRevision === 0) print();
      else await printAndWait(server, host, flags, print);
    });
  });
}

function report(
  host: CommandHost,
  { output }: ApplyFlags,
  applied: ShownPlan,
  delivery: JsonValue | undefined,
): void {
  printAnswer(host, output, {
    json: () => {
      const message = protoJson(
        'bonafide.entry.v1.EntryPlan',
        'bonafide.entry.v1.EntryPlanResponse',
        applied,
      );
      return delivery === undefined ? message : { ...(message as object), delivery };
    },
    pretty: () => doneText(applied),
  });
}

function doneText(applied: ShownPlan): string {
  const { created, updated, deleted, unchanged, appliedRevision } = applied.summary;
  if (appliedRevision === 0) return `${summaryText(applied)}\n`;
  return `Applied in revision ${appliedRevision}: ${created} created, ${updated} updated, ${deleted} deleted; ${unchanged} unchanged\n`;
}

/** @throws BonafideError `cancelled` unless the answer is yes. */
async function confirm(host: CommandHost): Promise<void> {
  host.stderr.write("Apply this plan? Only 'yes' is a yes: ");
  let answer = '';
  for await (const chunk of host.stdin) {
    answer += chunk.toString();
    if (answer.includes('\n') || answer.length > LONGEST_ANSWER) break;
  }
  if (answer.split('\n')[0]?.trim() === 'yes') return;
  throw new BonafideError(
    'cancelled',
    'nothing was changed: the plan was not confirmed; answer yes, or add --yes',
  );
}
