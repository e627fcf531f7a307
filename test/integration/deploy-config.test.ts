import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { runCommand } from '@bonafide/testing/run-command';

const repository = join(import.meta.dirname, '..', '..');
const folder = join(repository, 'deploy', 'config');
const PROGRAMS = ['server', 'agent', 'oidc'] as const;

it.each(PROGRAMS)('the %s configuration to start from is valid', async (program) => {
  const { code, stdout, stderr } = await runCommand(program, [
    'validate',
    '--config',
    join(folder, `${program}.yaml`),
  ]);
  expect(stderr).toBe('');
  expect(stdout).toContain('is valid');
  expect(code).toBe(0);
});

it.each(PROGRAMS)('the published schema of %s accepts it, and no key that there is not', (program) => {
  const text = readFileSync(join(repository, 'docs', 'schemas', `${program}.schema.json`), 'utf8');
  const schema = z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);
  const config = parse(readFileSync(join(folder, `${program}.yaml`), 'utf8')) as Record<string, unknown>;
  expect(schema.safeParse(config).error?.issues ?? []).toEqual([]);
  expect(schema.safeParse({ ...config, no_such_key: true }).success).toBe(false);
  for (const [key, value] of Object.entries(config)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue;
    const wrong = { ...config, [key]: { ...value, no_such_key: true } };
    expect(schema.safeParse(wrong).success, key).toBe(false);
  }
});
