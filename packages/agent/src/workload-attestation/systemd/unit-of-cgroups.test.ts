import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCgroups } from '../cgroups.js';
import { unitOfCgroups } from './unit-of-cgroups.js';

function unitOf(text: string): readonly [string, string] | undefined {
  const location = unitOfCgroups(parseCgroups(text));
  return location === undefined ? undefined : [location.unit, location.slice];
}

describe('the unit of a process', () => {
  it.each([
    ['0::/system.slice/nginx.service\n', 'nginx.service', 'system.slice'],
    ['0::/system.slice/system-getty.slice/getty@tty1.service\n', 'getty@tty1.service', 'system-getty.slice'],
    ['0::/init.scope\n', 'init.scope', '-.slice'],
    ['0::/system.slice/_cpu.service/worker\n', 'cpu.service', 'system.slice'],
    ['0::/system.slice/run-media-usb\\x20stick.mount\n', 'run-media-usb\\x20stick.mount', 'system.slice'],
    ['0::/user.slice/user-1000.slice/session-3.scope\n', 'session-3.scope', 'user-1000.slice'],
    ['4:cpu:/\n1:name=systemd:/system.slice/a.service\n0::/b.slice/b.service\n', 'a.service', 'system.slice'],
  ])('of %j is %s in %s', (text, unit, slice) => {
    expect(unitOf(text)).toEqual([unit, slice]);
  });

  it.each([
    // A user's own manager may name its groups as it likes, below the one unit that it is.
    '0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n',
    '0::/user.slice/user-1000.slice/user@1000.service/system.slice/nginx.service\n',
    '0::/user.slice/user-1000.slice/user@1000.service/../../system.slice/nginx.service\n',
  ])('of what a user runs is the manager of the user: %j', (text) => {
    expect(unitOf(text)).toEqual(['user@1000.service', 'user-1000.slice']);
  });

  it.each([
    '0::/system.slice/a.service/system.slice/b.service\n',
    '0::/system.slice/a.service/b.service\n',
    '0::/system.slice/a.service/../b.service\n',
  ])('is the outermost, whatever a delegated group holds: %j', (text) => {
    expect(unitOf(text)).toEqual(['a.service', 'system.slice']);
  });

  it.each([
    '0::/\n',
    '',
    '0::/docker/abc\n',
    '0::/system.slice\n',
    '0::/a.slice/b.timer\n',
    '3:cpu:/system.slice/a.service\n',
  ])('is none: %j', (text) => {
    expect(unitOf(text)).toBeUndefined();
  });

  it('is not guessed for a process outside of the cgroup namespace', () => {
    expect(() => unitOf('0::/../system.slice/a.service\n')).toThrow('run the agent in that of the host');
  });

  it('is always a name that systemd could have given, whatever the path', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 })), (names) => {
        const path = `/${names.join('/')}`;
        if (path.includes('\n') || path.startsWith('/..')) return;
        const location = unitOfCgroups([{ hierarchyId: 0, controllers: '', path }]);
        if (location === undefined) return;
        expect(location.unit).toMatch(/^[\w:.\\@-]+\.(service|scope|socket|mount|swap)$/);
        expect(location.slice).toMatch(/^[\w:.\\@-]+\.slice$/);
      }),
    );
  });
});
