/** SPIFFE Workload Endpoint section 4: what is an address, and what is not. */
import fc from 'fast-check';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { describe, expect, it } from 'vitest';
import { parseEndpointAddress, resolveEndpointAddress } from './endpoint-address.js';

describe('parseEndpointAddress', () => {
  it.each([
    ['unix:///run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:/run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['UNIX:///run/agent.sock', 'unix:/run/agent.sock'],
    ['unix:///run/with%20space.sock', 'unix:/run/with space.sock'],
    ['tcp://127.0.0.1:8000', 'ipv4:127.0.0.1:8000'],
    ['tcp://[::1]:8000', 'ipv6:[::1]:8000'],
  ])('accepts %s', (address, target) => {
    expect(parseEndpointAddress(address)).toBe(target);
  });

  it.each([
    ['', 'neither scheme'],
    ['\t', 'neither scheme'],
    ['blah', 'neither scheme'],
    ['/run/agent.sock', 'neither scheme'],
    ['http://127.0.0.1:80', 'neither scheme'],
    ['unix:', 'absolute path'],
    ['unix://', 'absolute path'],
    ['unix:///', 'absolute path'],
    ['unix:agent.sock', 'absolute path'],
    ['unix://host/run/agent.sock', 'must not name a host'],
    ['unix:///run/agent.sock?x=1', 'must not have a query'],
    ['unix:///run/agent.sock#x', 'must not have a fragment'],
    ['unix:///run/%zz', 'percent-encoding'],
    ['unix:///run/%00', 'zero byte'],
    [`unix:///${'a'.repeat(107)}`, 'longer than 107 bytes'],
    ['tcp:opaque', 'IP address and a port'],
    ['tcp://', 'IP address and a port'],
    ['tcp://localhost:8000', 'by IP address'],
    ['tcp://1.2.3.4', 'port from 1'],
    ['tcp://1.2.3.4:0', 'port from 1'],
    ['tcp://1.2.3.4:65536', 'port from 1'],
    ['tcp://1.2.3.4:5/path', 'must not have a path'],
    ['tcp://1.2.3.4:5?whatever', 'must not have a query'],
    ['tcp://1.2.3.4:5#whatever', 'must not have a fragment'],
    ['tcp://john:doe@1.2.3.4:5', 'user information'],
    ['tcp://::1:5', 'by IP address'],
    ['tcp://[1.2.3.4]:5', 'by IP address'],
  ])('refuses %j: %s', (address, problem) => {
    expect(() => parseEndpointAddress(address)).toThrow(problem);
  });

  it('refuses with a reason, or gives a target, whatever it is given', () => {
    const pieces = fc.constantFrom(
      'unix',
      'tcp',
      ':',
      '//',
      '/',
      '[',
      ']',
      '%',
      '@',
      '?',
      '#',
      '1.2.3.4',
      '::1',
      ':80',
      'a',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces, { maxLength: 8 }).map((all) => all.join('')),
        ),
        (text) => {
          try {
            expect(parseEndpointAddress(text)).toMatch(/^(unix:\/|ipv4:|ipv6:\[)/);
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
          }
        },
      ),
    );
  });
});

describe('resolveEndpointAddress', () => {
  it('takes the address given before the environment, and says what to do without either', () => {
    const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///from/environment' };
    expect(resolveEndpointAddress('unix:///given', environment)).toBe('unix:/given');
    expect(resolveEndpointAddress(undefined, environment)).toBe('unix:/from/environment');
    expect(() => resolveEndpointAddress(undefined, {})).toThrow('set SPIFFE_ENDPOINT_SOCKET');
    expect(() => resolveEndpointAddress(undefined, { SPIFFE_ENDPOINT_SOCKET: '' })).toThrow(
      'set SPIFFE_ENDPOINT_SOCKET',
    );
  });
});
