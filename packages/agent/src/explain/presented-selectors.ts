/** What the attestors said of one process, in the form in which entries are compared with it. */
import { hasReason, BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { AttestorFinding } from '../workload-attestation/attest-workload.js';

export class PresentedSelectors {
  readonly all: readonly Selector[];
  /** Every attestor that is configured. */
  readonly attestors: ReadonlySet<string>;
  readonly failedAttestors: ReadonlySet<string>;
  readonly #values = new Map<string, Set<string>>();
  /** By type and kind, by type and what follows the kind, and by value. */
  readonly #ofKind = new Map<string, Selector[]>();
  readonly #withRest = new Map<string, Selector>();
  readonly #withValue = new Map<string, Selector>();

  constructor(findings: readonly Pick<AttestorFinding, 'attestor' | 'selectors'>[]) {
    this.all = normalizeSelectors(findings.flatMap(({ selectors }) => selectors ?? []));
    this.attestors = new Set(findings.map(({ attestor }) => attestor));
    const failed = findings.filter(({ selectors }) => selectors === undefined);
    this.failedAttestors = new Set(failed.map(({ attestor }) => attestor));
    for (const selector of this.all) {
      const values = this.#values.get(selector.type);
      if (values === undefined) this.#values.set(selector.type, new Set([selector.value]));
      else values.add(selector.value);
      const { kind, rest } = partsOf(selector);
      const key = keyOf(selector.type, kind);
      const ofKind = this.#ofKind.get(key);
      if (ofKind === undefined) this.#ofKind.set(key, [selector]);
      else ofKind.push(selector);
      const restKey = keyOf(selector.type, rest);
      if (rest !== '' && !this.#withRest.has(restKey)) this.#withRest.set(restKey, selector);
      if (!this.#withValue.has(selector.value)) this.#withValue.set(selector.value, selector);
    }
  }

  has({ type, value }: Selector): boolean {
    return this.#values.get(type)?.has(value) === true;
  }

  hasAll(selectors: readonly Selector[]): boolean {
    return selectors.length > 0 && selectors.every((selector) => this.has(selector));
  }

  hasType(type: string): boolean {
    return this.#values.has(type);
  }

  ofKind(type: string, kind: string): readonly Selector[] {
    return this.#ofKind.get(keyOf(type, kind)) ?? [];
  }

  /** One of the type that says the same, of whatever kind. */
  withRest(type: string, rest: string): Selector | undefined {
    return this.#withRest.get(keyOf(type, rest));
  }

  /** One of whatever type. */
  withValue(value: string): Selector | undefined {
    return this.#withValue.get(value);
  }
}

/** Below these the value goes on with a name of its own, as in `docker:label:tier:web`. */
const NAMED_KINDS: ReadonlySet<string> = new Set([
  'label',
  'env',
  'pod-label',
  'image-label',
  'container-label',
]);

/** The text before which selectors of different kinds differ, and what follows it. */
export function partsOf({ value }: Selector): { readonly kind: string; readonly rest: string } {
  const first = value.indexOf(':');
  if (first < 0) return { kind: value, rest: '' };
  const kind = value.slice(0, first);
  const second = NAMED_KINDS.has(kind) ? value.indexOf(':', first + 1) : first;
  if (second < 0) return { kind, rest: value.slice(first + 1) };
  return { kind: value.slice(0, second), rest: value.slice(second + 1) };
}

/** A type has no colon. */
function keyOf(type: string, text: string): string {
  return `${type}:${text}`;
}

/** Why no entry is even looked for; undefined: the process can be attested. As `createWorkloadAttestation` decides it. */
export function attestationProblem(findings: readonly AttestorFinding[]): BonafideError | undefined {
  const changed = findings.find(({ error }) => hasReason(error, 'unauthenticated'))?.error;
  if (changed instanceof BonafideError) return changed;
  const hasAnswer = findings.length === 0 || findings.some(({ selectors }) => selectors !== undefined);
  return hasAnswer ? undefined : new BonafideError('unavailable', 'every attestor failed');
}
