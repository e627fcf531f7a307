import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { writeFile } from 'node:fs/promises';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

const FILE = `scope:
  spiffe_id_prefix: spiffe://example.org/pay
entries:
  - spiffe_id: spiffe://example.org/pay/api
    parent_id: spiffe://example.org/node
    selectors: [{ type: unix, value: 'uid:1' }]
`;

async function run(argv: readonly string[], text = FILE, input = '') {
  const path = directory.join('entries.yaml');
  await writeFile(path, text);
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, {});
  const host = createRecordedHost({ input, environment: { BONAFIDE_SERVER_SOCKET: socketPath } });
  const code = await runServerProgram(
    argv.map((word) => (word === 'FILE' ? path : word)),
    host,
  );
  return { code, ...host.printed, calls: server.calls };
}

describe('entry plan and entry apply', () => {
  it.each([
    [['entry', 'plan'], FILE, 'a file is required; add -f'],
    [
      ['entry', 'plan', '-f', 'FILE', '--prune'],
      'entries: []',
      'does not say what it owns, so nothing can be pruned',
    ],
    [['entry', 'plan', '-f', 'FILE'], 'scope: {spiffe_id_prefix: spiffe://example.org/pay}', 'entries'],
    [['entry', 'plan', '-f', 'FILE'], FILE.replace('example.org/pay\n', '???\n'), 'entries.yaml:2:21'],
    [['entry', 'plan', '-f', 'FILE'], FILE.replace('parent_id', 'parentid'), 'entries.yaml:5:5'],
    [['entry', 'apply', '-f', '-'], FILE, 'nobody can be asked whether to apply the plan; add --yes'],
    [['entry', 'apply', '-f', 'FILE', '--output', 'json'], FILE, 'add --yes'],
  ])('%j refuses %j', async (argv, text, words) => {
    const { code, stderr, calls } = await run(argv, text);
    expect(stderr).toContain(words);
    expect(code).toBe(1);
    expect(calls).toEqual([]);
  });
});
