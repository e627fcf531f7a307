import { describe, expect, it } from 'vitest';
import { attestorHost } from './attestor-host-samples.js';
import { createWorkloadAttestors, WORKLOAD_ATTESTORS, workloadAttestorsConfigSchema } from './attestors.js';

const host = attestorHost();

describe('workload attestors', () => {
  it('runs those that the configuration names', () => {
    const config = workloadAttestorsConfigSchema.parse({ unix: { discover_workload_path: true } });
    expect([...createWorkloadAttestors(config, host).keys()]).toEqual(['unix']);
    expect([...createWorkloadAttestors(workloadAttestorsConfigSchema.parse({}), host).keys()]).toEqual([]);
  });

  it('can be configured by every name of the table', () => {
    for (const name of Object.keys(WORKLOAD_ATTESTORS)) {
      const config = workloadAttestorsConfigSchema.parse({ [name]: {} });
      expect([...createWorkloadAttestors(config, host).keys()]).toEqual([name]);
    }
  });

  it.each([
    [{ dockerd: {} }, 'dockerd'],
    [{ unix: { discover_path: true } }, 'discover_path'],
    [{ unix: { workload_size_limit: '1M' } }, 'workload_size_limit'],
    [{ unix: { workload_size_limit: 1.5 } }, 'workload_size_limit'],
  ])('refuses %j', (config, field) => {
    expect(() => workloadAttestorsConfigSchema.parse(config)).toThrow(field);
  });

  it('is not asked for the path unless told, as in SPIRE', () => {
    expect(workloadAttestorsConfigSchema.parse({ unix: {} })).toEqual({
      unix: { discover_workload_path: false, workload_size_limit: 0 },
    });
  });
});
