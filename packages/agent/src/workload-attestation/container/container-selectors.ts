/** Selectors about a container, under the names that SPIRE's docker attestor gives them. */
import { createSelector, MAX_SELECTOR_BYTES, type Selector } from '@bonafide/shared/registration/selector';
import type { EngineContainer } from './engine-container.js';

/** `label:<key>:<value>` of each label, `env:<NAME>=<value>` of each variable. */
export function labelsAndVariables({ labels, env }: EngineContainer): readonly string[] {
  return [
    ...Object.entries(labels).map(([key, value]) => `label:${key}:${value}`),
    ...env.map((variable) => `env:${variable}`),
  ];
}

/**
 * A value that is longer than a selector may be is left out: no entry can ask for it, and a certificate in a variable must not cost the
 * container its identity.
 */
export function containerSelectors(type: string, values: readonly string[]): readonly Selector[] {
  return values
    .filter((value) => Buffer.byteLength(type) + Buffer.byteLength(value) <= MAX_SELECTOR_BYTES)
    .map((value) => createSelector(type, value));
}
