import { spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { describe, expect, it } from 'vitest';
import { checkProvenId } from './check-proven-id.js';

const trustDomain = parseTrustDomain('example.org');
const types = new Set(['tpm', 'x509pop', 'join_token']);

function check(path: string, hasConfiguredPath: boolean, domain = 'example.org'): void {
  const agentId = spiffeIdFromParts(parseTrustDomain(domain), path);
  checkProvenId({ agentId, hasConfiguredPath }, { trustDomain, type: 'x509pop', types });
}

describe('the agent ID of a node that was proven by x509pop', () => {
  it.each(['/spire/agent/tpm/abc', '/spire/agent/join_token/abc', '/spire/agent/tpm'])(
    'is not %s, the place of a node that is proven in another way, whatever the template makes',
    (path) => {
      expect(() => {
        check(path, true);
      }).toThrow(expect.objectContaining({ reason: 'permission_denied' }));
    },
  );

  it.each(['/spire/agent/x509pop/abc', '/spire/agent/web/tpm/abc', '/spire/agent/tpm-like/abc'])(
    'may be %s by a template',
    (path) => {
      check(path, true);
    },
  );

  it.each([
    ['/spire/server', true, 'example.org'],
    ['/spire/agent', true, 'example.org'],
    ['/spire/agent/x509pop/abc', true, 'example.com'],
    ['/spire/agent/web/abc', false, 'example.org'],
    ['/spire/agent/x509pop', false, 'example.org'],
  ])('is never %s', (path, hasConfiguredPath, domain) => {
    expect(() => {
      check(path, hasConfiguredPath, domain);
    }).toThrow(expect.objectContaining({ reason: 'internal' }));
  });
});
