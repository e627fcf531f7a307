import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { prepareSocketFolder } from './socket-folder.js';

describe('prepareSocketFolder', () => {
  it('makes the missing folders for every user, but leaves those that exist as they are', () => {
    using directory = createTemporaryDirectory();
    mkdirSync(directory.join('private'), { mode: 0o700 });
    prepareSocketFolder(directory.join('private/run/agent.sock'));
    prepareSocketFolder(directory.join('private/agent.sock'));
    expect(statSync(directory.join('private')).mode & 0o777).toBe(0o700);
    expect(statSync(directory.join('private/run')).mode & 0o777).toBe(0o755);
  });

  it('refuses a path that is not absolute', () => {
    expect(() => {
      prepareSocketFolder('run/agent.sock');
    }).toThrow('socket path "run/agent.sock" is not absolute; expected one such as /run/agent.sock');
  });

  it('says what the system refuses', () => {
    using directory = createTemporaryDirectory();
    writeFileSync(directory.join('file'), '');
    expect(() => {
      prepareSocketFolder(directory.join('file/agent.sock'));
    }).toThrow(/cannot listen on .*file\/agent.sock: .*(ENOTDIR|EEXIST)/);
  });
});
