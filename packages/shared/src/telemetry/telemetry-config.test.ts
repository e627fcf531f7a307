import { describe, expect, it } from 'vitest';
import { servableBy, telemetrySchema } from './telemetry-config.js';

const SCRAPER = 'spiffe://example.org/prometheus';

describe('telemetrySchema', () => {
  it.each([
    [{ cert_file: 'a' }, 'key_file'],
    [{}, 'cert_file'],
    [{ use_spire_svid: true, cert_file: 'a' }, 'cert_file'],
    [{ use_spire_svid: true, client_ca_file: 'a', authorized_spiffe_ids: [SCRAPER] }, 'client_ca_file'],
    [{ use_spire_svid: true, authorized_spiffe_ids: [] }, 'authorized_spiffe_ids'],
    [{ use_spire_svid: true, authorized_spiffe_ids: ['prometheus'] }, 'authorized_spiffe_ids'],
    [{ use_spire_svid: true, verify: true }, 'tls'],
    [{ use_spire_svid: true, dns_names: ['spiffe://example.org/a'] }, 'dns_names'],
    [{ use_spire_svid: true, dns_names: [] }, 'dns_names'],
    [{ use_spire_svid: true, dns_names: ['a.test'], spiffe_id: SCRAPER }, 'spiffe_id'],
    [{ cert_file: 'a', key_file: 'b', dns_names: ['a.test'] }, 'dns_names'],
    [{ cert_file: 'a', key_file: 'b', spiffe_id: SCRAPER }, 'spiffe_id'],
  ])('refuses tls %j, naming %s', (tls, key) => {
    const { error } = telemetrySchema.safeParse({ Prometheus: { tls } });
    expect(error?.issues.map(({ path }) => path.join('.')).join(' ')).toContain(key);
  });

  it.each([
    ['server', { use_spire_svid: true, spiffe_id: SCRAPER }, 'spiffe_id'],
    ['agent', { use_spire_svid: true, dns_names: ['a.test'] }, 'dns_names'],
    ['oidc', { use_spire_svid: true }, 'use_spire_svid'],
    ['oidc', { cert_file: 'a', key_file: 'b', authorized_spiffe_ids: [SCRAPER] }, 'authorized_spiffe_ids'],
  ] as const)('refuses for the program %s what it cannot serve with: %j', (program, tls, key) => {
    const { error } = telemetrySchema.superRefine(servableBy(program)).safeParse({ Prometheus: { tls } });
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([`Prometheus.tls.${key}`]);
  });

  it.each([
    ['server', { use_spire_svid: true, dns_names: ['a.test'] }],
    ['agent', { use_spire_svid: true, spiffe_id: SCRAPER }],
    ['oidc', { cert_file: 'a', key_file: 'b' }],
  ] as const)('accepts for the program %s what it can serve with: %j', (program, tls) => {
    expect(telemetrySchema.superRefine(servableBy(program)).safeParse({ Prometheus: { tls } }).success).toBe(
      true,
    );
  });
});
