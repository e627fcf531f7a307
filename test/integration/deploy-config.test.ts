import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCommand } from '@bonafide/testing/run-command';

const folder = join(import.meta.dirname, '..', '..', 'deploy', 'config');

it.each(['server', 'agent', 'oidc'] as const)(
  'the %s configuration to start from is valid',
  async (program) => {
    const { code, stdout, stderr } = await runCommand(program, [
      'validate',
      '--config',
      join(folder, `${program}.yaml`),
    ]);
    expect(stderr).toBe('');
    expect(stdout).toContain('is valid');
    expect(code).toBe(0);
  },
);
