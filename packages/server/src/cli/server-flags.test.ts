import { describe, expect, it } from 'vitest';
import { DEFAULT_SOCKET_PATH } from '../configuration/server-config.js';
import { adminSocketPath, DEFAULT_ADMIN_SOCKET_PATH } from './server-flags.js';

describe('adminSocketPath', () => {
  it('is where a server listens that was told nothing else', () => {
    expect(adminSocketPath({}, {})).toBe(DEFAULT_SOCKET_PATH);
    expect(DEFAULT_ADMIN_SOCKET_PATH).toBe(DEFAULT_SOCKET_PATH);
  });

  it.each([
    [{ socketPath: '/a.sock' }, { BONAFIDE_SERVER_SOCKET: '/b.sock' }, '/a.sock'],
    [{}, { BONAFIDE_SERVER_SOCKET: '/b.sock', SPIRE_SERVER_PRIVATE_SOCKET: '/c.sock' }, '/b.sock'],
    [{}, { SPIRE_SERVER_PRIVATE_SOCKET: '/c.sock' }, '/c.sock'],
    [{}, { BONAFIDE_SERVER_SOCKET: '' }, DEFAULT_ADMIN_SOCKET_PATH],
    [
      { instance: 'east' },
      { SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE: '/run/%i/api.sock' },
      '/run/east/api.sock',
    ],
    [{ instance: 'east', socketPath: '/a.sock' }, {}, '/a.sock'],
  ])('is found for %j in %j', (flags, environment, path) => {
    expect(adminSocketPath(flags, environment)).toBe(path);
  });

  it('needs a template for an instance', () => {
    expect(() => adminSocketPath({ instance: 'east' }, {})).toThrow(
      '--instance needs a socket path with %i in the environment variable SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE',
    );
  });

  it('refuses a path that the kernel would cut off', () => {
    expect(() => adminSocketPath({ socketPath: `/${'x'.repeat(107)}` }, {})).toThrow(
      /socket path is longer than 107 bytes: \/x/,
    );
  });
});
