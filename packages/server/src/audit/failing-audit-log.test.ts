/** A place that cannot be written: what `required` and `on_failure` make of it. */
import { readFileSync } from 'node:fs';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { SyslogCollector } from '@bonafide/testing/syslog-collector';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { exampleEvent, openTestAudit } from './audit-fixtures.js';
import type { OpenedAuditLog } from './open-audit-log.js';
import { ChainVerifier } from './verify-chain.js';

const LIMIT_MS = 60_000;

describe('the audit log that cannot be written', () => {
  let directory: TemporaryDirectory;
  let path: string;
  let socket: string;

  beforeEach(() => {
    directory = createTemporaryDirectory();
    path = directory.join('audit.log');
    socket = directory.join('syslog.sock');
  });
  afterEach(() => {
    directory.remove();
  });

  function open({
    required = true,
    ...more
  }: {
    required?: boolean;
    on_failure?: string;
  }): Promise<OpenedAuditLog> {
    const syslog = { transport: 'unix', path: socket, required };
    const log = createLogger({ level: 'info', format: 'json', file: directory.join('server.log') });
    return openTestAudit(path, {
      ...{ audit: { file: { path }, syslog, ...more }, keyManager: new MemoryKeyManager(), log },
    });
  }

  const logged = (text: string): Promise<true> =>
    waitFor(
      `the log to say ${text}`,
      () => readFileSync(directory.join('server.log'), 'utf8').includes(text),
      {
        limitMs: LIMIT_MS,
      },
    );

  /** @returns the texts of the records, in the order in which they came. */
  async function verified(lines: readonly string[]): Promise<string> {
    const verifier = new ChainVerifier({ keys: [], isOpen: true });
    for (const [index, line] of lines.entries()) await verifier.add(Buffer.from(line), `${index + 1}`);
    expect(verifier.end().problems).toEqual([]);
    return lines.join('\n');
  }
  const fileLines = (): readonly string[] => readFileSync(path, 'utf8').trimEnd().split('\n');
  const recordOf = (message: string): string => message.split('\ufeff')[1] ?? '';

  it('is not opened when it is required', async () => {
    await expect(open({})).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it('is opened, and holds nobody up, where it is not required', async () => {
    const { audit, close } = await open({ required: false });
    await audit.record(exampleEvent(1));
    expect(audit.ready()).toBeUndefined();
    await close();
    expect(await verified(fileLines())).toContain('request-1');
  });

  it('refuses what is to be told, and takes up again by itself with nothing missing', async () => {
    const collector = await SyslogCollector.listen({ path: socket });
    const { audit, close } = await open({});
    await audit.record(exampleEvent(1));
    const before = await collector.messages(3);
    await collector[Symbol.asyncDispose]();
    // The end of the connection is noticed by the write after it, at the latest.
    await expect
      .poll(
        () =>
          audit.record(exampleEvent(2)).then(
            () => 'told',
            () => 'refused',
          ),
        { timeout: LIMIT_MS },
      )
      .toBe('refused');
    await expect(audit.ready()).rejects.toMatchObject({ reason: 'unavailable' });
    await using again = await SyslogCollector.listen({ path: socket });
    await expect
      .poll(
        () =>
          Promise.resolve(audit.ready()).then(
            () => 'ready',
            () => 'not yet',
          ),
        { timeout: LIMIT_MS },
      )
      .toBe('ready');
    await audit.record(exampleEvent(3));
    await close();
    await waitFor('the end of the log', () => again.received.at(-1)?.includes('"kind":"close"'), {
      limitMs: LIMIT_MS,
    });
    expect(await verified(fileLines())).toContain('request-3');
    // What the kernel took before the end was noticed is lost with the connection; what was refused is not.
    const told = [...before, ...again.received].map(recordOf);
    expect(fileLines()).toEqual(expect.arrayContaining(told));
    expect(told.at(-1)).toBe(fileLines().at(-1));
    expect(told.join('\n')).toContain('request-2');
  });

  it('lets the server start and go on with on_failure: continue, which its log says, and is caught up with', async () => {
    const { audit, close } = await open({ on_failure: 'continue' });
    await logged('the server goes on (audit.on_failure)');
    expect(audit.ready()).toBeUndefined();
    for (let index = 0; index < 20; index += 1) await audit.record(exampleEvent(index));
    expect(audit.ready()).toBeUndefined();
    await using collector = await SyslogCollector.listen({ path: socket });
    await logged('audit events are written again');
    await audit.record(exampleEvent(20));
    await close();
    await waitFor('the end of the log', () => collector.received.at(-1)?.includes('"kind":"close"'), {
      limitMs: LIMIT_MS,
    });
    const told = collector.received.map(recordOf);
    expect(told).toEqual(fileLines());
    const text = await verified(told);
    for (let index = 0; index <= 20; index += 1) expect(text).toContain(`"request-${index}"`);
  });
});
