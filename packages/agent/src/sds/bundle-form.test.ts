import { describe, expect, it } from 'vitest';
import type { Node } from '@bonafide/shared/rpc/gen/envoy/config/core/v3/Node';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { bundleFormFor } from './bundle-form.js';
import { sdsConfigSchema } from './sds-config.js';

const { FetchSecrets } = loadService('envoy.service.secret.v3.SecretDiscoveryService').definition;

function formFor(node: Node | undefined, isDisabled = false): string {
  const bytes = FetchSecrets.requestSerialize(node === undefined ? {} : { node });
  return bundleFormFor(FetchSecrets.requestDeserialize(bytes).node ?? undefined, isDisabled);
}

function built(majorNumber: number, minorNumber: number): Node {
  return { userAgentBuildVersion: { version: { majorNumber, minorNumber } } };
}

describe('the form of bundles', () => {
  it.each<[string, Node | undefined, string]>([
    ['Envoy 1.17', built(1, 17), 'trusted_ca'],
    ['Envoy 1.18', built(1, 18), 'spiffe_validator'],
    ['Envoy 2.0', built(2, 0), 'spiffe_validator'],
    ['a build version that says nothing', { userAgentBuildVersion: {} }, 'spiffe_validator'],
    ['Envoy 1.17 in words', { userAgentName: 'envoy', userAgentVersion: '1.17.4' }, 'trusted_ca'],
    ['Envoy 1.40 in words', { userAgentName: 'envoy', userAgentVersion: '1.40.0-dev' }, 'spiffe_validator'],
    ['words that are no version', { userAgentName: 'envoy', userAgentVersion: 'new' }, 'spiffe_validator'],
    ['another program', { userAgentName: 'other', userAgentVersion: '0.1' }, 'spiffe_validator'],
    ['nobody', undefined, 'spiffe_validator'],
  ])('follows the version of %s', (_name, node, form) => {
    expect(formFor(node)).toBe(form);
  });

  it.each([
    [{ boolValue: true }, 'trusted_ca', 'trusted_ca'],
    [{ boolValue: false }, 'spiffe_validator', 'spiffe_validator'],
    [{ stringValue: 'T' }, 'trusted_ca', 'trusted_ca'],
    [{ stringValue: '0' }, 'spiffe_validator', 'spiffe_validator'],
    [{ stringValue: 'yes' }, 'spiffe_validator', 'trusted_ca'],
    [{ numberValue: 1 }, 'spiffe_validator', 'trusted_ca'],
    [{ listValue: {} }, 'spiffe_validator', 'trusted_ca'],
  ])('follows metadata %j over the configuration', (value, enabled, disabled) => {
    const node = { metadata: { fields: { disable_spiffe_cert_validation: value } } };
    expect(formFor(node)).toBe(enabled);
    expect(formFor(node, true)).toBe(disabled);
  });

  it('is never the validator for an Envoy that has none', () => {
    const fields = { disable_spiffe_cert_validation: { boolValue: false } };
    expect(formFor({ ...built(1, 17), metadata: { fields } })).toBe('trusted_ca');
  });
});

describe('the sds block', () => {
  it("has SPIRE's defaults", () => {
    expect(sdsConfigSchema.parse({})).toEqual({
      default_svid_name: 'default',
      default_bundle_name: 'ROOTCA',
      default_all_bundles_name: 'ALL',
      disable_spiffe_cert_validation: false,
    });
  });

  it('refuses one name for two things, no name, and what it does not know', () => {
    for (const config of [{ default_svid_name: 'ALL' }, { default_bundle_name: '' }, { other: true }]) {
      expect(sdsConfigSchema.safeParse(config).success).toBe(false);
    }
  });
});
