/** The documentation does what it says: each page with a `<!-- run: … -->` is worked through with the real programs. */
import { describe, expect, it } from 'vitest';
import { missingPrograms } from './page-surroundings.js';
import { parsePage, readPages, type Page } from './read-document.js';
import { firstMissing, runDocument } from './run-document.js';

const LIMIT_MS = 300_000;
const pages = readPages().filter(({ settings }) => settings !== undefined);

/** With what it lacks here, and why some of it is never run. */
function titleOf({ blocks, path, settings }: Page): string {
  const lacks = missingPrograms(settings ?? {}).map((name) => `needs ${name}`);
  const reasons = new Set(blocks.flatMap(({ elsewhere }) => elsewhere ?? []));
  const notHere = [...reasons].map((reason) => `not all of it here: ${reason}`);
  return [path, ...lacks, ...notHere].join('; ');
}

describe('a page of the documentation', { timeout: LIMIT_MS }, () => {
  for (const page of pages) {
    const canRun = missingPrograms(page.settings ?? {}).length === 0;
    it.runIf(canRun)(titleOf(page), async () => {
      await runDocument(page);
    });
  }
});

describe('the runner of pages', () => {
  const run = (...lines: readonly string[]): Promise<void> =>
    runDocument(parsePage('page.md', ['<!-- run: { ports: [8081] } -->', ...lines, ''].join('\n')));
  const block = (info: string, ...lines: readonly string[]): readonly string[] => [
    `\`\`\`${info}`,
    ...lines,
    '```',
  ];

  it('runs blocks in one folder, with what was exported before, and compares what they print', async () => {
    await run(
      ...block('yaml file=folder/some.yaml', 'port: 8081'),
      ...block('sh', 'export NUMBER=7', 'mkdir inner', 'cd inner'),
      ...block(
        'sh',
        'echo "number $NUMBER"; grep -c "80""81" ../folder/some.yaml || echo "another port"; pwd',
      ),
      ...block('text', 'number …', 'another port', '/inner'),
    );
  });

  it('stops at the first command of a block that fails, and says where', async () => {
    await expect(run(...block('sh', 'false', 'true'))).rejects.toThrow('page.md:2 ended with code 1');
    await expect(run(...block('sh fails', 'true'))).rejects.toThrow('page.md:2 ended with code 0');
    await run(...block('sh fails', 'false'), ...block('sh elsewhere="no reason"', 'false'));
  });

  it('refuses a page that promises another output, or a configuration that is none', async () => {
    await expect(run(...block('sh', 'echo one'), ...block('text', 'two'))).rejects.toThrow('missing: two');
    await expect(run(...block('yaml file=server.yaml', 'server: { trust_domain: 7 }'))).rejects.toThrow(
      'page.md:2 is no valid configuration',
    );
    expect(() => parsePage('page.md', block('sh fials', 'true').join('\n'))).toThrow('fials');
  });

  it('keeps what is started in the background until the page ends', async () => {
    await run(
      ...block('sh background="started"', 'echo started; sleep 1000'),
      ...block('sh', 'echo next'),
      ...block('text', 'next'),
    );
    await expect(run(...block('sh background="started"', 'echo other'))).rejects.toThrow('ended before');
  });

  it('finds lines in their order only', () => {
    expect(firstMissing(['a … c', 'd'], 'a  b  c\nd\n')).toBeUndefined();
    expect(firstMissing(['d', 'a'], 'a\nd\n')).toBe('a');
  });
});
