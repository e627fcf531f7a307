import { appendFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parsePasswdFile, PasswdFile } from './passwd-file.js';

let directory: TemporaryDirectory;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

describe('passwd file', () => {
  it('reads both forms and passes over what is no account', () => {
    const text = [
      'root:x:0:0:root:/root:/bin/sh',
      '# a comment:x:1:',
      '+nis:::::',
      '-@banned:x:2:',
      ':x:3:',
      'letters:x:abc:',
      'huge:x:99999999999:',
      'docker:x:4:alice,bob',
      'last:x:5',
      'second-root:x:0:0::/:/bin/sh',
    ].join('\n');
    expect([...parsePasswdFile(text)]).toEqual([
      [0, 'root'],
      [4, 'docker'],
      [5, 'last'],
    ]);
  });

  it('survives any text, and finds every account that is written to it', () => {
    fc.assert(
      fc.property(fc.string(), fc.stringMatching(/^[a-z][a-z0-9_-]{0,30}$/), fc.nat(), (noise, name, id) => {
        expect([...parsePasswdFile(noise).keys()].every(Number.isSafeInteger)).toBe(true);
        expect(parsePasswdFile(`${name}:x:${id}:${noise}`).get(id)).toBe(name);
      }),
    );
  });

  it('reads the file again when it is edited or replaced, and not otherwise', () => {
    const path = directory.join('passwd');
    writeFileSync(path, 'alice:x:1000:\n');
    const file = new PasswdFile({ path, log: silentLogger });
    expect(file.nameOf(1000)).toBe('alice');
    appendFileSync(path, 'bob:x:1001:\n');
    expect(file.nameOf(1001)).toBe('bob');
    writeFileSync(`${path}.new`, 'carol:x:1000:\ncarol2:x:1001:\n');
    renameSync(`${path}.new`, path);
    expect([file.nameOf(1000), file.nameOf(1001)]).toEqual(['carol', 'carol2']);
  });

  it('gives no names while there is no file, says so once, and recovers', () => {
    const path = directory.join('passwd');
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn: vi.fn() });
    const file = new PasswdFile({ path, log });
    expect(file.nameOf(1000)).toBeUndefined();
    expect(file.nameOf(1001)).toBeUndefined();
    expect(log.warn).toHaveBeenCalledTimes(1);
    writeFileSync(path, 'alice:x:1000:\n');
    expect(file.nameOf(1000)).toBe('alice');
    unlinkSync(path);
    expect(file.nameOf(1000)).toBeUndefined();
    expect(log.warn).toHaveBeenCalledTimes(2);
  });
});
