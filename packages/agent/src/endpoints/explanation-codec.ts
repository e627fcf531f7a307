/** Explanations on the wire. */
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { ConnectedProcess as ConnectedProcessProto } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ConnectedProcess';
import type { Explanation as ExplanationProto } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { MatchedEntry as MatchedEntryProto } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MatchedEntry';
import type { MissingSelector as MissingSelectorProto } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MissingSelector';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Explanation, ServerWord } from '../explain/explanation.js';
import type { ConnectedProcess } from '../explain/list-connected.js';
import type { SvidState } from '../explain/matched-entries.js';
import type { MissingSelector, NearMiss } from '../explain/near-misses.js';
import type { ProcessFacts } from '../explain/process-facts.js';
import type { SelectorHint } from '../explain/selector-hints.js';

const STATES = {
  held: 'HELD',
  renewing: 'RENEWING',
  signing: 'SIGNING',
  failed: 'FAILED',
  expired: 'EXPIRED',
  on_demand: 'ON_DEMAND',
} as const satisfies Record<SvidState, MatchedEntryProto['state']>;

const HINTS = {
  differs_in_case: 'DIFFERS_IN_CASE',
  is_part: 'IS_PART',
  similar: 'SIMILAR',
  other_name: 'OTHER_NAME',
  differs: 'DIFFERS',
  kind_not_presented: 'KIND_NOT_PRESENTED',
  nothing_presented: 'NOTHING_PRESENTED',
  attestor_failed: 'ATTESTOR_FAILED',
  attestor_not_configured: 'ATTESTOR_NOT_CONFIGURED',
} as const satisfies Record<SelectorHint['kind'], MissingSelectorProto['hint']>;

/** So that an answer stays below what a client accepts. */
const MOST_SELECTORS_OF_A_MISS = 20;
const MOST_SELECTORS_OF_A_FINDING = 500;

export function explanationToProto(explanation: Explanation): ExplanationProto {
  const { agent, departed, findings, matched, server } = explanation;
  return {
    process: factsToProto(explanation.process),
    attestors: findings.map(({ attestor, durationMs, problem = '', selectors }) => ({
      ...{ attestor, durationMs, problem },
      selectors: selectorsToProto(selectors.slice(0, MOST_SELECTORS_OF_A_FINDING)),
    })),
    attestationProblem: explanation.attestationProblem ?? '',
    matched: matched.map(({ entry, nextAttempt, problem = '', state, svidExpiresAt }) => ({
      ...{ entryId: entry.id, spiffeId: entry.spiffeId, hint: entry.hint ?? '', problem },
      state: STATES[state],
      svidExpiresAt: secondsOf(svidExpiresAt),
      nextAttemptAt: secondsOf(nextAttempt),
    })),
    nearMisses: explanation.nearMisses.map(nearMissToProto),
    departed: departed.map(({ departedAt, entry, hasExpired }) => ({
      ...{ entryId: entry.id, spiffeId: entry.spiffeId, hasExpired },
      departedAt: unixSeconds(departedAt),
    })),
    server: server === undefined ? null : serverToProto(server),
    agent: {
      agentId: agent.agentId ?? '',
      svidExpiresAt: secondsOf(agent.svidExpiresAt),
      isConnected: agent.isConnected,
      lastSyncAt: secondsOf(agent.lastSyncAt),
      serverAddress: agent.serverAddress ?? '',
      isQuarantined: agent.isQuarantined,
      quarantineReason: agent.quarantineReason ?? '',
      entries: agent.entries,
    },
    isPartial: explanation.isPartial,
    now: unixSeconds(explanation.now),
  };
}

export function connectedToProto(connected: ConnectedProcess): ConnectedProcessProto {
  const { name = '', problem = '', spiffeIds } = connected;
  return { ...connected, name, problem, spiffeIds: [...spiffeIds] };
}

function factsToProto({
  ancestors,
  cgroups,
  executable = '',
  group = '',
  name = '',
  problems,
  startedAt,
  user = '',
  ...ids
}: ProcessFacts): NonNullable<ExplanationProto['process']> {
  return {
    ...ids,
    ...{ user, group, name, executable },
    cgroups: [...cgroups],
    startedAt: secondsOf(startedAt),
    ancestors: [...ancestors],
    problems: [...problems],
  };
}

function nearMissToProto({ entryId, missing, present, spiffeId }: NearMiss) {
  return {
    ...{ entryId, spiffeId },
    selectorCount: present.length + missing.length,
    missingCount: missing.length,
    present: selectorsToProto(present.slice(0, MOST_SELECTORS_OF_A_MISS)),
    missing: missing.slice(0, MOST_SELECTORS_OF_A_MISS).map(missingToProto),
  };
}

function missingToProto({ hint, selector }: MissingSelector): MissingSelectorProto {
  const [named] = selectorsToProto([selector]);
  return {
    ...(named === undefined ? {} : { selector: named }),
    hint: HINTS[hint.kind],
    presented: 'presented' in hint ? selectorsToProto(hint.presented) : [],
    similarAttestor: 'similar' in hint ? (hint.similar ?? '') : '',
  };
}

function serverToProto({
  entries,
  problem = '',
  ...word
}: ServerWord): NonNullable<ExplanationProto['server']> {
  return {
    ...word,
    problem,
    entries: entries.map(({ entryId, expiresAt, parentId = '', reason, spiffeId = '' }) => ({
      ...{ entryId, parentId, reason, spiffeId },
      expiresAt: secondsOf(expiresAt),
    })),
  };
}

function secondsOf(date: Date | undefined): number {
  return date === undefined ? 0 : unixSeconds(date);
}
