import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCgroups, readCgroups } from './cgroups.js';

describe('control groups of a process', () => {
  it('reads the lines of both versions', () => {
    expect(parseCgroups('12:cpu,cpuacct:/a\n1:name=systemd:/b:c\n0::/../x\n')).toEqual([
      { hierarchyId: 12, controllers: 'cpu,cpuacct', path: '/a' },
      { hierarchyId: 1, controllers: 'name=systemd', path: '/b:c' },
      { hierarchyId: 0, controllers: '', path: '/../x' },
    ]);
  });

  it('reads those of this very process', () => {
    expect(readCgroups({ procPath: '/proc/self' }).length).toBeGreaterThan(0);
  });

  it.each(['0::/a', '0:/a\n', 'x::/a\n', '0::a\n', `0::/${'a'.repeat(5000)}\n`, '0::/a\n'.repeat(65)])(
    'refuses what the kernel does not write: %j',
    (text) => {
      expect(() => parseCgroups(text)).toThrow('not readable');
    },
  );

  it('throws nothing but its own error, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseCgroups(text);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'internal' });
        }
      }),
    );
  });
});
