import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseProcessStatus } from './process-status.js';

const STATUS = `Name:\tnginx
Umask:\t0022
State:\tS (sleeping)
Uid:\t0\t101\t102\t103
Gid:\t0\t201\t202\t203
FDSize:\t64
Groups:\t10 20 4294967294 
NStgid:\t1
`;

describe('process status', () => {
  it('reads the effective IDs and every supplementary group', () => {
    expect(parseProcessStatus(STATUS)).toEqual({
      effectiveUid: 101,
      effectiveGid: 201,
      supplementaryGids: [10, 20, 4_294_967_294],
    });
  });

  it('reads the status of this very process', () => {
    const status = parseProcessStatus(readFileSync('/proc/self/status', 'utf8'));
    expect(status.effectiveUid).toBe(process.geteuid?.());
    expect(status.effectiveGid).toBe(process.getegid?.());
    // Node.js adds the effective group to those of the kernel.
    const groups = new Set([...status.supplementaryGids, status.effectiveGid]);
    expect(groups).toEqual(new Set(process.getgroups?.()));
  });

  it('does not take the next line for groups when there are none', () => {
    expect(parseProcessStatus(STATUS.replace(/^Groups:.*$/m, 'Groups:\t')).supplementaryGids).toEqual([]);
    expect(parseProcessStatus(STATUS.replace(/^Groups:.*$/m, 'Groups:\t ')).supplementaryGids).toEqual([]);
  });

  it.each([
    ['an empty file', ''],
    ['no Uid', STATUS.replace(/^Uid.*\n/m, '')],
    ['no Groups', STATUS.replace(/^Groups.*\n/m, '')],
    ['too few IDs', STATUS.replace('101\t102\t103', '101')],
    ['a word for an ID', STATUS.replace('101', 'root')],
    ['a negative group', STATUS.replace('10 20', '-1 20')],
  ])('refuses %s', (_name, text) => {
    expect(() => parseProcessStatus(text)).toThrow(/no readable line/);
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((noise) => `${STATUS}${noise}`),
        ),
        (text) => {
          try {
            expect(parseProcessStatus(text).effectiveUid).toBeGreaterThanOrEqual(0);
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
          }
        },
      ),
    );
  });
});
