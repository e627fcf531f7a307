import { describe, expect, it } from 'vitest';
import { inheritedSocket } from './inherited-socket.js';

describe('inherited socket', () => {
  it.each([
    ['nothing said', {}, undefined],
    ['for another process', { LISTEN_PID: '41', LISTEN_FDS: '1' }, undefined],
    ['none', { LISTEN_PID: '42', LISTEN_FDS: '0' }, undefined],
    ['one', { LISTEN_PID: '42', LISTEN_FDS: '1' }, 3],
  ])('%s', (_name, environment, fd) => {
    expect(inheritedSocket(environment, 42)).toBe(fd);
  });

  it.each(['2', 'x', '', '-1'])('refuses %j sockets', (count) => {
    expect(() => inheritedSocket({ LISTEN_PID: '42', LISTEN_FDS: count }, 42)).toThrow('LISTEN_FDS');
  });
});
