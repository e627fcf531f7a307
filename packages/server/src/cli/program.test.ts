import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { loadCommand } from '@bonafide/shared/cli/run-program';
import { describe, expect, it } from 'vitest';
import { runServerProgram, serverProgram } from './program.js';

describe('the commands of the server', () => {
  it.each(serverProgram.commands.map(({ path }) => path))(
    '%s has help with examples that its own flags accept',
    async (path) => {
      const host = createRecordedHost();
      expect(await runServerProgram([...path.split(' '), '--help'], host)).toBe(0);
      expect(host.printed.stderr).toBe('');
      expect(host.printed.stdout).toMatch(/^Usage: bonafide-server /);
      const [, examples = ''] = host.printed.stdout.split('Examples:\n');
      const lines = examples
        .trimEnd()
        .split('\n')
        .filter((line) => line.includes('bonafide-server'));
      expect(lines.length).toBeGreaterThan(0);
      const listed = serverProgram.commands.find((command) => command.path === path);
      if (listed === undefined) throw new Error('listed above');
      const command = await loadCommand(serverProgram, listed, createRecordedHost());
      for (const line of lines) {
        expect(line).toContain(`bonafide-server ${path}`);
        for (const [flag] of line.matchAll(/ --[a-z0-9-]+/g)) {
          expect(
            command.options.map(({ long }) => long),
            line,
          ).toContain(flag.trim());
        }
      }
    },
  );

  it('lists every command and group in the help of the program', async () => {
    const host = createRecordedHost();
    expect(await runServerProgram(['--help'], host)).toBe(0);
    for (const { path, summary } of serverProgram.commands) {
      expect(host.printed.stdout).toContain(path);
      expect(host.printed.stdout).toContain(summary);
    }
  });

  it('knows its version', async () => {
    const host = createRecordedHost();
    expect(await runServerProgram(['--version'], host)).toBe(0);
    expect(host.printed.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
