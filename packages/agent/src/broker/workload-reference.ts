/** How a broker names a workload (SPIFFE Broker API section 3.1): parsed, and found by the agent's own means. */
import {
  BonafideError,
  errorMessage,
  hasReason,
  invalidArgument,
} from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { KubernetesObjectReference__Output } from '@bonafide/shared/rpc/gen/spiffe/broker/KubernetesObjectReference';
import type { WorkloadReference__Output } from '@bonafide/shared/rpc/gen/spiffe/broker/WorkloadReference';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { subjectOfPid, type ProcessSubjects, type Subject } from '../on-behalf/subject.js';
import type { AttestationCall } from '../workload-attestation/attest-workload.js';
import type { KubernetesObjectReference } from '../workload-attestation/kubernetes-object-reference.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import { workloadRefusal } from './broker-refusals.js';

export type WorkloadReference =
  | { readonly kind: 'pid'; readonly pid: number }
  | { readonly kind: 'kubernetes_object'; readonly object: KubernetesObjectReference };

export interface ReferenceSubjectsOptions extends ProcessSubjects {
  readonly attestors: ReadonlyMap<string, WorkloadAttestor>;
  readonly clock: Clock;
  readonly log: Logger;
}

const PREFIX = 'type.googleapis.com/';
const PID = 'spiffe.broker.WorkloadPIDReference';
const OBJECT = 'spiffe.broker.KubernetesObjectReference';
const CORE = 'core';
const LONGEST_NAME = 253;
/** How often an object of Kubernetes is looked at again while somebody holds a stream in its name. */
const OBJECT_REVIEW_MS = 5_000;
const OBJECT_LIMIT_MS = 10_000;

/** @returns of what type it is said to be. @throws BonafideError `invalid_argument` when there is none. */
export function referenceType(reference: WorkloadReference__Output | null): string {
  const typeUrl = reference?.reference?.type_url ?? '';
  if (typeUrl === '') throw workloadRefusal(invalidArgument('workload reference must be provided'));
  return typeUrl;
}

/** @throws BonafideError `invalid_argument` for what cannot name anything, or is of a type that nobody here knows. */
export function parseWorkloadReference(reference: WorkloadReference__Output | null): WorkloadReference {
  const typeUrl = referenceType(reference);
  const value = reference?.reference?.value ?? Buffer.alloc(0);
  if (typeUrl === PREFIX + PID) {
    const { pid } = decoded(PID, value);
    if (pid <= 0) throw invalidArgument(`${pid} is no process ID; expected a positive integer`);
    return { kind: 'pid', pid };
  }
  if (typeUrl === PREFIX + OBJECT) {
    return { kind: 'kubernetes_object', object: parseObject(decoded(OBJECT, value)) };
  }
  throw invalidArgument(
    `reference type ${JSON.stringify(typeUrl.slice(0, 200))} is not known; expected ${PREFIX}${PID} or ${PREFIX}${OBJECT}`,
  );
}

function decoded<Name extends typeof PID | typeof OBJECT>(
  name: Name,
  value: Buffer,
): ReturnType<ReturnType<typeof loadMessage<Name>>['deserialize']> {
  try {
    return loadMessage(name).deserialize(value) as ReturnType<
      ReturnType<typeof loadMessage<Name>>['deserialize']
    >;
  } catch (error) {
    throw invalidArgument(`the workload reference is not a ${name}: ${errorMessage(error)}`, error);
  }
}

function parseObject({ key, type, uid }: KubernetesObjectReference__Output): KubernetesObjectReference {
  const plural = type?.plural ?? '';
  const group = type?.group ?? '';
  if (plural === '' || group === '') {
    throw invalidArgument(`the type of an object needs plural and group; expected group "${CORE}" for pods`);
  }
  if (key === null && uid === '')
    throw invalidArgument('an object is named by key, uid or both; neither is set');
  if (key?.name === '') throw invalidArgument('the key of an object needs a name');
  for (const text of [plural, group, uid, key?.name ?? '', key?.namespace ?? '']) {
    if (text.length > LONGEST_NAME || !/^[\x21-\x7e]*$/.test(text) || text.includes('/')) {
      throw invalidArgument(`${JSON.stringify(text.slice(0, LONGEST_NAME))} is no name in Kubernetes`);
    }
  }
  return {
    plural,
    group: group === CORE ? '' : group,
    key: key === null ? undefined : { namespace: key.namespace, name: key.name },
    uid: uid === '' ? undefined : uid,
  };
}

/** @throws BonafideError `not_found` when it names nothing; `invalid_argument` when no attestor knows such references. */
export function subjectOf(
  reference: WorkloadReference,
  options: ReferenceSubjectsOptions,
  call: AttestationCall,
): Promise<Subject> {
  return reference.kind === 'pid'
    ? subjectOfPid(reference.pid, options, call)
    : subjectOfObject(reference.object, options, call);
}

/** Its end is noticed within seconds: it is looked at again and again. */
async function subjectOfObject(
  object: KubernetesObjectReference,
  options: ReferenceSubjectsOptions,
  { signal }: AttestationCall,
): Promise<Subject> {
  const selectors = await attestObject(object, options, signal);
  const known = selectors.map(formatSelector).join('\n');
  const closed = new AbortController();
  let timer: Timer | undefined;
  const review = (listener: (why: BonafideError) => void): void => {
    timer = options.clock.schedule(OBJECT_REVIEW_MS, () => {
      attestObject(object, options, closed.signal).then(
        (now) => {
          if (closed.signal.aborted) return;
          if (now.map(formatSelector).join('\n') === known) review(listener);
          else listener(new BonafideError('unavailable', 'the referenced object has changed; ask again'));
        },
        (error: unknown) => {
          if (closed.signal.aborted) return;
          // Who cannot be asked now may be asked later; what is known stands until then.
          if (hasReason(error, 'not_found', 'invalid_argument', 'permission_denied')) listener(error);
          else review(listener);
        },
      );
    });
  };
  return {
    selectors,
    onEnd: review,
    close: () => {
      closed.abort();
      timer?.cancel();
    },
  };
}

async function attestObject(
  object: KubernetesObjectReference,
  { attestors, clock, log }: ReferenceSubjectsOptions,
  signal: AbortSignal,
): Promise<readonly Selector[]> {
  const limit = new AbortController();
  const timer = clock.schedule(OBJECT_LIMIT_MS, () => {
    limit.abort();
  });
  const scope = AbortSignal.any([signal, limit.signal]);
  const runs = [...attestors.values()].flatMap((attestor) =>
    attestor.attestObject === undefined ? [] : [attestor.attestObject(object, scope)],
  );
  try {
    if (runs.length === 0) {
      throw invalidArgument('no workload attestor of this agent knows objects of Kubernetes; configure k8s');
    }
    const outcomes = await Promise.allSettled(runs);
    const errors = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
    );
    if (errors.length < outcomes.length) {
      return normalizeSelectors(
        outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : [])),
      );
    }
    for (const error of errors) log.debug({ err: error }, 'an object could not be attested');
    const known = errors.find((error) => hasReason(error, 'not_found', 'invalid_argument'));
    throw known ?? new BonafideError('unavailable', 'workload attestation failed', { cause: errors[0] });
  } finally {
    timer.cancel();
  }
}
