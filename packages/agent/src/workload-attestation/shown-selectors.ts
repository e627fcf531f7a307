/** Selectors that leave the agent's memory: an environment variable or the word of an attestor that is not known here may be a secret. */
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';

/** How the log shows the selectors of a process: all of each; without values that may be secrets; or none of them. */
export const SELECTOR_LOGGING = ['full', 'redacted', 'none'] as const;
export type SelectorLogging = (typeof SELECTOR_LOGGING)[number];

/** Attestors of which every selector says where a process comes from, and none what was given to it. */
const OPEN_TYPES: ReadonlySet<string> = new Set(['unix', 'systemd', 'k8s']);
/** Of those that read containers. */
const OPEN_KINDS: ReadonlySet<string> = new Set(['image_id', 'image_config_digest', 'label']);
const CONTAINER_TYPES: ReadonlySet<string> = new Set(['docker', 'podman']);

const REDACTED = '<redacted>';

/** Whether its value can be shown to whoever reads logs, and to the server. */
export function isOpen({ type, value }: Selector): boolean {
  if (OPEN_TYPES.has(type)) return true;
  return CONTAINER_TYPES.has(type) && OPEN_KINDS.has(value.split(':', 1)[0] ?? '');
}

/** Undefined: nothing is to be said. */
export function loggedSelectors(
  selectors: readonly Selector[],
  logging: SelectorLogging,
): readonly string[] | undefined {
  if (logging === 'none') return undefined;
  return selectors.map((selector) => formatSelector(logging === 'full' ? selector : withoutSecret(selector)));
}

/** The name of a variable says which it is; of what an unknown attestor says, every part may be secret. */
export function withoutSecret(selector: Selector): Selector {
  const { type, value } = selector;
  if (isOpen(selector)) return selector;
  if (!CONTAINER_TYPES.has(type) || !value.startsWith('env:')) return { type, value: REDACTED };
  return { type, value: `${/^env:[A-Za-z_][A-Za-z0-9_]*=/.exec(value)?.[0] ?? 'env:'}${REDACTED}` };
}
