import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdNamedProcess } from '../endpoints/named-process.js';
import { PasswdFile } from '../workload-attestation/passwd-file.js';
import { parseProcessStat, readProcessFacts } from './process-facts.js';

const names = {
  users: new PasswdFile({ path: '/etc/passwd', log: silentLogger }),
  groups: new PasswdFile({ path: '/etc/group', log: silentLogger }),
};
const FIELDS = Array.from({ length: 40 }, (_, index) => String(index + 5)).join(' ');

describe('readProcessFacts', () => {
  it('knows a child of this process by what the kernel says', async () => {
    const child = spawn('sleep', ['60']);
    try {
      await once(child, 'spawn');
      const held = holdNamedProcess(child.pid ?? 0);
      const facts = readProcessFacts(held, names);
      held.close();
      expect(facts).toMatchObject({ pid: child.pid, uid: process.geteuid?.(), problems: [] });
      expect(facts.ancestors[0]?.pid).toBe(process.pid);
      expect(facts.executable).toMatch(/^\//);
      expect(Math.abs(Date.now() - (facts.startedAt?.getTime() ?? 0))).toBeLessThan(120_000);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('says what it could not read instead of giving up', () => {
    const gone = { pid: 1, uid: 0, gid: 0, procPath: '/nowhere', isAlive: () => true };
    const facts = readProcessFacts(gone, names);
    expect(facts.problems).toHaveLength(3);
    expect(facts).toMatchObject({ name: undefined, executable: undefined, cgroups: [], ancestors: [] });
  });
});

describe('parseProcessStat', () => {
  it.each(['web', 'a b', ') 7 (', '(x)', ''])('reads the name %j', (name) => {
    expect(parseProcessStat(`12 (${name}) S 4 ${FIELDS}\n`)).toMatchObject({ name, parentPid: 4 });
  });

  it('refuses anything else, and never crashes otherwise', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(Number.isInteger(parseProcessStat(text).parentPid)).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'internal' });
        }
      }),
    );
  });
});
