/** Explains a process: attests it as the Workload API would, and looks at everything that decides which identity it gets. */
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { NodeSurvival } from '../survival/node-survival.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { SvidRenewal } from '../svid-renewal/svid-renewal.js';
import type {
  AttestationCall,
  AttestorFinding,
  WorkloadExamination,
} from '../workload-attestation/attest-workload.js';
import type { HeldProcess } from '../workload-attestation/attested-process.js';
import { withoutSecret } from '../workload-attestation/shown-selectors.js';
import type { DepartedEntries } from './departed-entries.js';
import type { AgentCondition, Explanation, Finding, ServerWitness } from './explanation.js';
import { isServed, matchedEntry, type MatchedEntry } from './matched-entries.js';
import { nearMisses } from './near-misses.js';
import { attestationProblem, PresentedSelectors } from './presented-selectors.js';
import { readProcessFacts, type NameFiles, type ProcessFacts } from './process-facts.js';

export interface ProcessExplanationParts {
  readonly examine: WorkloadExamination;
  readonly names: NameFiles;
  readonly cache: Pick<SvidCache, 'entries' | 'entryCount' | 'matching' | 'svid'>;
  readonly renewal: Pick<SvidRenewal, 'progress'>;
  readonly departed: Pick<DepartedEntries, 'latest'>;
  readonly survival: Pick<NodeSurvival, 'agent'>;
  readonly quarantine: { readonly isActive: boolean; readonly why: string | undefined };
  readonly server: ServerWitness;
  readonly clock: Clock;
}

/** The agent's owner, or the process itself; what it lacks helps a process that is not what it should be. */
export type Audience = 'owner' | 'workload';

const MOST_DEPARTED = 5;

export class ProcessExplanations {
  readonly #parts: ProcessExplanationParts;

  constructor(parts: ProcessExplanationParts) {
    this.#parts = parts;
  }

  /**
   * Takes the process over, and closes it.
   * @throws BonafideError `not_found` when the process exits meanwhile; `cancelled` by the signal.
   */
  async explain(process: HeldProcess, audience: Audience, call: AttestationCall): Promise<Explanation> {
    const facts = this.#facts(process);
    const findings = await this.#examine(process, call);
    const problem = attestationProblem(findings);
    const presented = new PresentedSelectors(problem === undefined ? findings : []);
    const { cache, clock, departed, server } = this.#parts;
    const now = clock.now();
    const matched = this.#matched(presented, now);
    const isPartial = audience === 'workload';
    const looksFurther = !isPartial && problem === undefined;
    const explanation: Explanation = {
      process: facts,
      findings: findings.map((finding) => findingFor(finding, isPartial)),
      attestationProblem: problem && (isPartial ? 'the process cannot be attested' : problem.message),
      matched: isPartial ? matched.map(withoutProblem) : matched,
      nearMisses: looksFurther ? await nearMisses(cache.entries(), presented, clock) : [],
      departed: looksFurther
        ? departed
            .latest()
            .filter(({ entry }) => presented.hasAll(entry.selectors))
            .slice(0, MOST_DEPARTED)
        : [],
      server: undefined,
      agent: this.#agent(isPartial),
      isPartial,
      now,
    };
    // The server has nothing to add when the process is served.
    if (!looksFurther || matched.some(isServed)) return explanation;
    const heldEntryIds = matched.map(({ entry }) => entry.id);
    const { signal } = call;
    return { ...explanation, server: await server.ask({ selectors: presented.all, heldEntryIds, signal }) };
  }

  /** Entries that match; undefined with the reason when the process cannot be attested. Takes it over as `explain` does. */
  async identities(
    process: HeldProcess,
    call: AttestationCall,
  ): Promise<{ readonly entries: readonly RegistrationEntry[]; readonly problem: string | undefined }> {
    const findings = await this.#examine(process, call);
    const problem = attestationProblem(findings)?.message;
    if (problem !== undefined) return { entries: [], problem };
    const { all } = new PresentedSelectors(findings);
    return { entries: this.#parts.cache.matching(all).entries, problem: undefined };
  }

  #facts(process: HeldProcess): ProcessFacts {
    try {
      return readProcessFacts(process, this.#parts.names);
    } catch (error) {
      process.close();
      throw error;
    }
  }

  async #examine(process: HeldProcess, call: AttestationCall): Promise<readonly AttestorFinding[]> {
    const { pid } = process;
    try {
      return await this.#parts.examine(process, call);
    } catch (error) {
      if (!hasReason(error, 'unauthenticated')) throw error;
      throw new BonafideError('not_found', `process ${pid} has exited`, { cause: error });
    }
  }

  #matched(presented: PresentedSelectors, now: Date): readonly MatchedEntry[] {
    const { cache, renewal } = this.#parts;
    return cache
      .matching(presented.all)
      .entries.map((entry) => matchedEntry(entry, cache.svid(entry.id), renewal.progress(entry.id), now));
  }

  #agent(isPartial: boolean): AgentCondition {
    const { cache, quarantine, survival } = this.#parts;
    const agent = survival.agent();
    const condition = {
      isConnected: agent.isConnected,
      lastSyncAt: agent.lastSyncAt,
      isQuarantined: quarantine.isActive,
    };
    if (isPartial) {
      return {
        ...condition,
        ...{ agentId: undefined, svidExpiresAt: undefined, serverAddress: undefined },
        ...{ quarantineReason: undefined, entries: 0 },
      };
    }
    const { agentId, serverAddress, svidExpiresAt } = agent;
    const quarantineReason = quarantine.why;
    return {
      ...condition,
      agentId,
      serverAddress,
      svidExpiresAt,
      quarantineReason,
      entries: cache.entryCount,
    };
  }
}

/** What went wrong on the node is the owner's to know. */
function findingFor(
  { attestor, durationMs, error, selectors }: AttestorFinding,
  isPartial: boolean,
): Finding {
  const problem = isPartial ? 'it failed; the log of the agent says why' : errorMessage(error);
  return {
    ...{ attestor, durationMs },
    // Whoever runs in a container need not be whom its environment was meant for.
    selectors: isPartial ? (selectors ?? []).map(withoutSecret) : (selectors ?? []),
    problem: selectors === undefined ? problem : undefined,
  };
}

function withoutProblem(matched: MatchedEntry): MatchedEntry {
  const problem = matched.problem && 'the last attempt failed; the log of the agent says why';
  return { ...matched, problem };
}
