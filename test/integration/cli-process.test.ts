import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { programPath } from '@bonafide/testing/program-path';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const directory = createTemporaryDirectory();
let server: LaunchedServer;

beforeAll(async () => {
  server = await launchServer({ directory: directory.path });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory.remove();
});

describe('the program bonafide-server', { timeout: 60_000 }, () => {
  it('leaves the exit codes of SPIRE', async () => {
    expect(await server.command('healthcheck')).toEqual({
      code: 0,
      stdout: 'Server is healthy.\n',
      stderr: '',
    });
    expect((await server.command('entry', 'show', '-entryID', 'none')).code).toBe(1);
    expect((await runCommand('server', ['frobnicate'])).code).toBe(127);
    expect((await runCommand('server', [])).code).toBe(127);
    expect((await runCommand('server', ['entry', 'show', '--no-such-flag'])).code).toBe(1);
    expect((await runCommand('server', ['--version'])).code).toBe(0);
  });

  it('reads entries from its standard input', async () => {
    const entries = [0, 1, 2].map((index) => ({
      spiffe_id: `spiffe://example.org/${index}`,
      parent_id: 'spiffe://example.org/rack',
      selectors: [{ type: 'unix', value: `uid:${index}` }],
    }));
    const { code, stdout } = await runCommand(
      'server',
      ['entry', 'create', '-data', '-', '-socketPath', server.socketPath],
      {
        input: JSON.stringify({ entries }),
      },
    );
    expect(code).toBe(0);
    expect(stdout.match(/^Entry ID/gm)).toHaveLength(3);
  });

  it('ends quietly when its reader has seen enough', async () => {
    const child = spawn(process.execPath, [
      programPath('server'),
      'entry',
      'show',
      '-socketPath',
      server.socketPath,
    ]);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('refuses a second server on the same socket, and a configuration with problems', async () => {
    const second = await runCommand('server', [
      'run',
      '-config',
      server.configPath,
      '-dataDir',
      directory.join('second'),
    ]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^Error: [^\n]+\n$/m);
    expect(second.stderr).toContain('Server crashed');
    const path = directory.join('bad.yaml');
    await writeFile(path, 'server:\n  trust_domain: UPPER\n  colour: blue\n');
    const bad = await runCommand('server', ['run', '-config', path]);
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain(`Error: ${path} has 2 problems\n  ${path}:2:17: server.trust_domain: `);
    expect(bad.stderr).toContain(`  ${path}:3:3: server.colour: unknown key; accepted are `);
  });

  it('stops when it is told to, and says so with exit code 0', async () => {
    await server.process.stop();
    expect(server.process.exitCode).toBe(0);
    expect(server.process.output.trimEnd()).toMatch(/Server stopped gracefully\b[^\n]*$/);
    const { code, stderr } = await server.command('entry', 'show');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: the server is not running: /);
    await server.process.start();
    expect((await server.command('entry', 'count')).stdout).toBe('3 registration entries\n');
  });
});
