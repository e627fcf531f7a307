import { describe, expect, it } from 'vitest';
import { endpointLimits } from './endpoint-limits.js';

describe('endpoint limits', () => {
  it('never accept more connections than there are files for', () => {
    expect(endpointLimits({}, 1024).maxConnections).toBe(174);
    expect(endpointLimits({}, 20_000).maxConnections).toBe(6500);
    expect(endpointLimits({}, Number.POSITIVE_INFINITY).maxConnections).toBe(10_000);
    expect(endpointLimits({}, 16).maxConnections).toBe(100);
  });

  it('leave room for others beside the greediest user', () => {
    const limits = endpointLimits();
    expect(limits.maxConnectionsPerUid).toBeLessThan(limits.maxConnections);
    expect(limits.maxAttestationsPerUid).toBeLessThan(limits.maxAttestations);
  });

  it('are as they are set', () => {
    const set = {
      maxConnections: 1,
      maxConnectionsPerUid: 2,
      maxStreamsPerConnection: 3,
      maxStreamsPerUid: 4,
      callsPerSecondPerUid: 5,
      maxAttestations: 6,
      maxAttestationsPerUid: 7,
    };
    expect(endpointLimits(set)).toEqual(set);
  });
});
