import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentHelpersSchema } from './helper-config.js';
import type { OnChange } from './helper-entry.js';
import { SupervisedChild } from './child-process.js';
import { tellOfChange } from './tell-of-change.js';

const AROUND = { clock: systemClock, log: silentLogger };
const SIGNAL = new AbortController().signal;
let directory: TemporaryDirectory;
let child: ChildProcess | undefined;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  child?.kill('SIGKILL');
  child = undefined;
  directory.remove();
});

function signalling(text: string): OnChange {
  const pidFile = directory.join('pid');
  writeFileSync(pidFile, text);
  return { signals: [{ pidFile, signalNumber: constants.signals.SIGTERM }], commands: [] };
}

function running(program: string, args: readonly string[], timeoutSeconds = 60): OnChange {
  return { signals: [], commands: [{ program, args, timeoutSeconds }] };
}

describe('tellOfChange', () => {
  it('signals the process of the pid file, whatever lines follow', async () => {
    child = spawn('sleep', ['600']);
    await once(child, 'spawn');
    const ended = once(child, 'exit');
    await tellOfChange(signalling(`  ${child.pid ?? 0}\n/var/lib\n`), AROUND, SIGNAL);
    expect((await ended)[1]).toBe('SIGTERM');
  });

  it('takes it easy when the program does not run', async () => {
    child = spawn('true');
    await once(child, 'exit');
    await tellOfChange(signalling(`${child.pid ?? 0}\n`), AROUND, SIGNAL);
    await tellOfChange(
      { signals: [{ pidFile: directory.join('none'), signalNumber: 1 }], commands: [] },
      AROUND,
      SIGNAL,
    );
  });

  it.each(['', 'x', '-1', '0', '1', '12 34', '99999999', '4194305', '0x10', '1e3'])(
    'refuses a pid file of %j',
    async (text) => {
      await expect(tellOfChange(signalling(text), AROUND, SIGNAL)).rejects.toThrow('does not begin with');
    },
  );

  it('runs a command without a shell, and says how it failed', async () => {
    await tellOfChange(running('test', ['$HOME; true', '=', '$HOME; true']), AROUND, SIGNAL);
    await expect(tellOfChange(running('ls', ['/does/not/exist']), AROUND, SIGNAL)).rejects.toThrow(
      /ls ended with code 2: .*No such file/s,
    );
    await expect(tellOfChange(running('/does/not/exist', []), AROUND, SIGNAL)).rejects.toThrow('cannot run');
  });

  it('kills a command that takes too long, with what it started', async () => {
    await expect(
      tellOfChange(running('sh', ['-c', 'sleep 600 & wait'], 0.2), AROUND, SIGNAL),
    ).rejects.toThrow('longer than 0.2 s');
  });
});

describe('a systemd unit', () => {
  it('is reloaded by systemctl (a stand-in that writes down its arguments)', async () => {
    const path = directory.join('arguments');
    const program = directory.join('systemctl');
    writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" > ${path}\n`, { mode: 0o755 });
    const [entry] = agentHelpersSchema.parse([
      { spiffe_id: 'spiffe://example.org/web', cert_dir: '/x', on_change: { systemd_unit: 'nginx.service' } },
    ]);
    const [command] = entry?.onChange.commands ?? [];
    expect(command?.program).toBe('systemctl');
    await tellOfChange(running(program, command?.args ?? []), AROUND, SIGNAL);
    expect(readFileSync(path, 'utf8')).toBe('reload\n--\nnginx.service\n');
  });
});

describe('SupervisedChild', () => {
  const options = { random: () => 0, ...AROUND };
  const command = { program: 'sh', args: ['-c', 'exit 7'], restarts: false, renewSignal: undefined };

  it('ends with the exit code of its program', async () => {
    expect(await new SupervisedChild({ command, ...options }).run(SIGNAL)).toBe(7);
  });

  it('says when there is no such program', async () => {
    const missing = { ...command, program: '/does/not/exist' };
    await expect(new SupervisedChild({ command: missing, ...options }).run(SIGNAL)).rejects.toThrow(
      'cannot run cmd',
    );
  });

  it('starts it again until it is stopped, and ends it then', async () => {
    const path = directory.join('runs');
    const args = ['-c', `echo run >> ${path}; [ "$(wc -l < ${path})" -lt 2 ] || exec sleep 600`];
    const stop = new AbortController();
    const run = new SupervisedChild({ command: { ...command, args, restarts: true }, ...options }).run(
      stop.signal,
    );
    await waitFor('a second run', () => readFileSync(path, 'utf8') === 'run\nrun\n');
    stop.abort();
    expect(await run).toBe(128 + constants.signals.SIGTERM);
  });
});
