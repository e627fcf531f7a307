/** In which form an Envoy takes bundles, by what it says about itself: it may ask for less than it could have, never for more. */
import type { Node__Output } from '@bonafide/shared/rpc/gen/envoy/config/core/v3/Node';
import type { Value__Output } from '@bonafide/shared/rpc/gen/google/protobuf/Value';

/**
 * `spiffe_validator`: each trust domain's bundle judges that trust domain's IDs. `trusted_ca`: plain X.509 authorities, for Envoy
 * before 1.18 and for those who want to do without.
 */
export type BundleForm = 'spiffe_validator' | 'trusted_ca';

/** Of SPIRE; wins over the agent's configuration. */
const METADATA_KEY = 'disable_spiffe_cert_validation';
const FIRST_MINOR = 18;
/** Go's words, which SPIRE takes. */
const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((word) => [word, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((word) => [word, false] as const),
]);

/** @param isDisabled the agent's own configuration. */
export function bundleFormFor(node: Node__Output | undefined, isDisabled: boolean): BundleForm {
  const fields = node?.metadata?.fields ?? {};
  const word = Object.hasOwn(fields, METADATA_KEY) ? truthOf(fields[METADATA_KEY]) : undefined;
  if (word ?? isDisabled) return 'trusted_ca';
  const [major, minor] = versionOf(node) ?? [Number.POSITIVE_INFINITY, 0];
  return major > 1 || (major === 1 && minor >= FIRST_MINOR) ? 'spiffe_validator' : 'trusted_ca';
}

/** Undefined for what is no truth value, which then counts as not said. */
function truthOf(value: Value__Output | undefined): boolean | undefined {
  if (value?.kind === 'boolValue') return value.boolValue;
  return value?.kind === 'stringValue' ? WORDS.get(value.stringValue ?? '') : undefined;
}

/** Undefined for whoever does not say, which today is nobody of old. */
function versionOf(node: Node__Output | undefined): readonly [number, number] | undefined {
  const built = node?.userAgentBuildVersion?.version;
  if (built !== undefined && built !== null) return [built.majorNumber, built.minorNumber];
  // Other programs that speak this protocol count their releases differently.
  if (node?.userAgentName !== 'envoy') return undefined;
  const [, major, minor] = /^v?(\d{1,6})\.(\d{1,6})/.exec(node.userAgentVersion ?? '') ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
}
