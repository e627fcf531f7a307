import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { exampleEvent, openTestAudit } from './audit-fixtures.js';
import { parseRecord, type AuditRecord } from './audit-record.js';
import { rotatedFiles } from './audit-files.js';
import { auditFilesAt, readLines } from './read-lines.js';
import { ChainVerifier, type VerifiedChain } from './verify-chain.js';

const MINUTE_MS = 60_000;

function recordsIn(path: string): readonly AuditRecord[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n').map(parseRecord);
}

async function verified(path: string, isOpen = false): Promise<VerifiedChain> {
  const verifier = new ChainVerifier({ keys: [], isOpen });
  for (const file of await auditFilesAt(path)) {
    for await (const { bytes, number, isEnded } of readLines(file)) {
      await verifier.add(bytes, `${file}:${number}`, isEnded);
    }
  }
  return verifier.end();
}

describe('the audit log in a file', () => {
  it('goes on where it ended, in one chain', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const keyManager = new MemoryKeyManager();
    for (let run = 0; run < 3; run += 1) {
      const { audit, close } = await openTestAudit(path, { keyManager });
      await audit.record(exampleEvent(run));
      await close();
    }
    expect(await verified(path)).toMatchObject({ problems: [], records: 12 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it.each([1, 40, 400])(
    'cuts off %i bytes of a record that was not finished, tells of it and keeps them',
    async (torn) => {
      using directory = createTemporaryDirectory();
      const path = directory.join('audit.log');
      const keyManager = new MemoryKeyManager();
      const first = await openTestAudit(path, { keyManager });
      await first.audit.record(exampleEvent());
      await first.close();
      const text = 'x'.repeat(torn);
      appendFileSync(path, text);
      const second = await openTestAudit(path, { keyManager });
      await second.close();
      expect(recordsIn(path).find(({ event }) => event === 'audit_log_repaired')).toMatchObject({
        details: { bytes: torn, aside: `${path}.torn` },
      });
      expect(readFileSync(`${path}.torn`, 'utf8')).toBe(text);
      expect(await verified(path)).toMatchObject({ problems: [] });
    },
  );

  it('says so when records that were signed are gone', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const keyManager = new MemoryKeyManager();
    const first = await openTestAudit(path, { keyManager });
    for (let index = 0; index < 5; index += 1) await first.audit.record(exampleEvent(index));
    await first.close();
    const lines = readFileSync(path, 'utf8').split('\n');
    truncateSync(path, lines.slice(0, 4).join('\n').length + 1);
    const second = await openTestAudit(path, { keyManager });
    await second.close();
    expect(recordsIn(path).map(({ event }) => event)).toContain('audit_log_behind');
    const { problems } = await verified(path);
    expect(problems[0]?.message).toMatch(/record 5 is expected here/);
  });

  it('sets a file aside that is none of it', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    writeFileSync(path, '{"time":"2026-01-01T00:00:00.000Z","event":"agent_quarantined"}\n');
    const { close } = await openTestAudit(path);
    await close();
    expect(recordsIn(path).map(({ event }) => event)).toContain('audit_log_repaired');
    expect((await readdir(directory.path)).some((name) => name.endsWith('.damaged'))).toBe(true);
  });

  it('is rotated by size into files that are one chain, compressed and kept as many as are wanted', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const audit = { file: { maximum_megabytes: 0.01, keep_files: 3, compress: true } };
    const opened = await openTestAudit(path, { audit });
    const compressed = async (): Promise<number> =>
      (await readdir(directory.path)).filter((name) => name.endsWith('.gz')).length;
    for (let round = 0; (await compressed()) < 2; round += 1) {
      await opened.audit.recordAll(Array.from({ length: 30 }, (_, index) => exampleEvent(index)));
      await opened.audit.rotate();
      if (round > 1_000) throw new Error('it is not rotated');
    }
    await opened.close();
    expect(await verified(directory.path)).toMatchObject({ problems: [] });
    const files = await auditFilesAt(directory.path);
    expect(files.at(-1)).toBe(path);
    for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('is rotated by age, whatever its size, and not sooner; what is older than is kept goes', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const clock = new FakeClock(new Date());
    const audit = { file: { maximum_age: '1h', keep_for: '150m' } };
    const opened = await openTestAudit(path, { audit, clock });
    const rotated = async (): Promise<readonly string[]> =>
      (await rotatedFiles(path)).map((file) => file.path);
    const isLooking = (): Promise<true> =>
      waitFor('it to look at its age', () => (clock.nextTimerMs ?? Infinity) <= MINUTE_MS, {
        limitMs: 60_000,
      });
    await opened.audit.record(exampleEvent(1));
    await clock.advance(59 * MINUTE_MS);
    expect(await rotated()).toEqual([]);
    const kept: (readonly string[])[] = [];
    for (let rotation = 0; rotation < 4; rotation += 1) {
      await isLooking();
      const newest = (await rotated()).at(-1);
      await clock.advance((rotation === 0 ? 2 : 61) * MINUTE_MS);
      await waitFor('the rotation', async () => (await rotated()).at(-1) !== newest, { limitMs: 60_000 });
      kept.push(await rotated());
    }
    expect(recordsIn(path)[0]).toMatchObject({ event: 'audit_log_opened', details: { reason: 'rotation' } });
    const first = kept[0]?.[0] ?? '';
    expect(kept[2]).toContain(first);
    await waitFor('the first file to go', async () => !(await rotated()).includes(first), {
      limitMs: 60_000,
    });
    await opened.close();
    expect(await verified(directory.path)).toMatchObject({ problems: [] });
  });

  it('is opened anew when somebody has moved it away', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const { audit, reopen, close } = await openTestAudit(path);
    await audit.record(exampleEvent(1));
    renameSync(path, `${path}.moved`);
    await reopen();
    await audit.record(exampleEvent(2));
    await close();
    expect(recordsIn(path).map(({ request_id: id }) => id)).toContain('request-2');
    expect(existsSync(`${path}.moved`)).toBe(true);
  });

  it('writes those together who come together, in the order in which they came', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const { audit, close } = await openTestAudit(path);
    await Promise.all(Array.from({ length: 500 }, (_, index) => audit.record(exampleEvent(index))));
    await close();
    const ids = recordsIn(path).flatMap(({ request_id: id }) => (id === undefined ? [] : [id]));
    expect(ids).toEqual(Array.from({ length: 500 }, (_, index) => `request-${index}`));
    expect(await verified(path)).toMatchObject({ problems: [] });
  });

  it('bounds what others have said', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('audit.log');
    const { audit, close } = await openTestAudit(path);
    await audit.record({
      ...exampleEvent(),
      reason: `\u2028\n"${'x'.repeat(1_000_000)}`,
      details: { a: 'y'.repeat(1e6) },
    });
    await close();
    expect(statSync(path).size).toBeLessThan(10_000);
    expect(await verified(path)).toMatchObject({ problems: [] });
  });
});

describe('the audit log that is off', () => {
  it('writes nothing, and holds nobody up', async () => {
    using directory = createTemporaryDirectory();
    const { audit, close } = await openTestAudit(directory.join('audit.log'), { audit: { enabled: false } });
    await audit.record(exampleEvent());
    expect(audit.ready()).toBeUndefined();
    await close();
    expect(await readdir(directory.path)).toEqual([]);
  });
});
