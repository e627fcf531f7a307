/** `agent purge`: evicts the agents that could attest again and whose SVID ended long ago. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Command } from 'commander';
import { counted, printedId } from '../printed-words.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { labelled } from './agent-text.js';
import { fetchAgents } from './fetch-agents.js';
import { fetchQuarantined } from './node-state.js';

interface PurgeFlags extends ServerFlags {
  readonly expiredFor: number;
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

interface ExpiredAgent {
  readonly agentId: string;
  readonly isDeleted: boolean;
  readonly error?: string;
}

const THIRTY_DAYS = '720h';

export function agentPurge(command: Command, host: CommandHost): void {
  command
    .addOption(
      valueOption(
        '--expired-for <duration>',
        'for how long the SVID must have been over',
        parseDuration,
      ).default(parseDuration(THIRTY_DAYS), THIRTY_DAYS),
    )
    .addOption(switchOption('--dry-run', 'only shows which agents would be purged'))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server agent purge --dry-run',
    'bonafide-server agent purge --expired-for 168h',
  ]).action(async (flags: PurgeFlags) => {
    const isDryRun = flags.dryRun ?? false;
    const endedBefore = unixSeconds(host.clock.now()) - flags.expiredFor;
    const agents = await withServer(flags, host, (server) => purge(server, endedBefore, isDryRun));
    printAnswer(host, flags.output, {
      json: () => ({ expired_agents: agents.map(agentJson) }),
      pretty: () => purgeText(agents, isDryRun),
    });
    if (!isDryRun && agents.some(({ isDeleted }) => !isDeleted)) {
      throw new BonafideError('aborted', 'failed to purge one or more agents');
    }
  });
}

async function purge(
  server: ServerConnection,
  endedBefore: number,
  isDryRun: boolean,
): Promise<readonly ExpiredAgent[]> {
  const agents = await fetchAgents(server, {
    filter: { byCanReattest: { value: true } },
    outputMask: { x509svidExpiresAt: true },
  });
  // Forgetting one in quarantine would let its node in again as if nothing had happened.
  const quarantined = await fetchQuarantined(server);
  const purged: ExpiredAgent[] = [];
  for (const { id } of agents.filter(({ x509svidExpiresAt }) => x509svidExpiresAt < endedBefore)) {
    const agentId = printedId(id);
    if (quarantined.has(agentId)) continue;
    if (isDryRun) {
      purged.push({ agentId, isDeleted: false });
      continue;
    }
    try {
      await server.call('spire.api.server.agent.v1.Agent', 'deleteAgent', { id });
      purged.push({ agentId, isDeleted: true });
    } catch (error) {
      purged.push({ agentId, isDeleted: false, error: errorMessage(error) });
    }
  }
  return purged;
}

function agentJson({ agentId, isDeleted, error }: ExpiredAgent): Readonly<Record<string, string | boolean>> {
  return { agent_id: agentId, deleted: isDeleted, ...(error === undefined ? {} : { error }) };
}

function purgeText(agents: readonly ExpiredAgent[], isDryRun: boolean): string {
  if (agents.length === 0) return 'No agents to purge.\n';
  const ids = (chosen: readonly ExpiredAgent[]): string[] =>
    chosen.map(
      ({ agentId, error }) =>
        labelled('SPIFFE ID', agentId) + (error === undefined ? '' : labelled('Error', error)),
    );
  const purged = agents.filter(({ isDeleted }) => isDeleted);
  const kept = agents.filter(({ isDeleted }) => !isDeleted);
  const sections = isDryRun
    ? ['\nAgents that can be purged:\n', ...ids(agents)]
    : [
        ...(purged.length > 0 ? ['Agents purged:\n', ...ids(purged)] : []),
        ...(kept.length > 0 ? ['Agents not purged:\n', ...ids(kept)] : []),
      ];
  return `Found ${counted(agents.length, 'expired agent', 'expired agents')}\n\n${sections.join('')}`;
}
