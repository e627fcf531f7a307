import { readFileSync } from 'node:fs';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { expect, it } from 'vitest';
import { runAgentProgram } from './program.js';

it('prints the schema that is published', async () => {
  const host = createRecordedHost();
  expect(await runAgentProgram(['config', 'schema'], host)).toBe(0);
  const published = new URL('../../../../docs/schemas/agent.schema.json', import.meta.url);
  expect(host.printed.stdout).toBe(readFileSync(published, 'utf8'));
});
