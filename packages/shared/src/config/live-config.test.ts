import { describe, expect, it } from 'vitest';
import { invalidArgument } from '../errors/bonafide-error.js';
import type { Logger } from '../runtime/logger.js';
import { silentLogger } from '../runtime/logger.js';
import { changedKeys } from './config-changes.js';
import { LiveConfig, type LivePart } from './live-config.js';

interface Config {
  readonly level: string;
  readonly limits: { readonly calls: number; readonly streams: number };
  readonly port: number;
}

const FIRST: Config = { level: 'info', limits: { calls: 1, streams: 1 }, port: 8081 };

function startLive(parts: readonly LivePart<Config>[] = []) {
  const lines: { readonly level: string; readonly text: string }[] = [];
  const write =
    (level: string) =>
    (...words: readonly unknown[]) =>
      lines.push({ level, text: String(words.at(-1)) });
  const log = Object.assign(Object.create(silentLogger) as Logger, {
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  });
  const file = { next: FIRST as Config | Error, reads: 0 };
  const load = (): Promise<Config> => {
    file.reads += 1;
    return file.next instanceof Error ? Promise.reject(file.next) : Promise.resolve(file.next);
  };
  const live = new LiveConfig<Config>({ config: FIRST, load, log });
  for (const part of parts) live.add(part);
  return { live, file, lines };
}

/** Applies what it is told to a list that a test looks at. */
function recording(name: string, keys: readonly string[], applied: string[]): LivePart<Config> {
  return {
    name,
    keys,
    prepare: ({ level }) => {
      if (level === 'wrong') throw invalidArgument(`${name} does not know ${level}`);
      return () => applied.push(`${name} ${level}`);
    },
  };
}

describe('live configuration', () => {
  it('gives every part the new configuration, in the order in which they were added', async () => {
    const applied: string[] = [];
    const { live, file } = startLive([
      recording('a', ['level'], applied),
      recording('b', ['level'], applied),
    ]);
    live.ready();
    file.next = { ...FIRST, level: 'debug' };
    expect(await live.reload()).toEqual({ kind: 'applied', changed: ['level'], needRestart: [] });
    expect(applied).toEqual(['a debug', 'b debug']);
    expect(live.current).toBe(file.next);
  });

  it('applies nothing when one part refuses, keeps the old configuration and says why in one line', async () => {
    const applied: string[] = [];
    const willing: LivePart<Config> = {
      name: 'first',
      keys: ['port'],
      prepare: () => () => applied.push('first'),
    };
    const { live, file, lines } = startLive([willing, recording('b', ['level'], applied)]);
    live.ready();
    file.next = { ...FIRST, level: 'wrong' };
    expect(await live.reload()).toEqual({ kind: 'refused', message: 'b does not know wrong' });
    expect(applied).toEqual([]);
    expect(live.current).toBe(FIRST);
    expect(lines).toEqual([
      {
        level: 'error',
        text: 'the configuration was not reloaded, and the one before stays in force: b does not know wrong',
      },
    ]);
  });

  it('keeps the old configuration when the file cannot be read, and takes the next good one', async () => {
    const { live, file } = startLive();
    live.ready();
    file.next = invalidArgument('server.yaml:3:1: unknown key');
    expect(await live.reload()).toEqual({ kind: 'refused', message: 'server.yaml:3:1: unknown key' });
    file.next = { ...FIRST, port: 8082 };
    expect((await live.reload()).kind).toBe('applied');
  });

  it('names what needs a restart in one warning, at every reload until it is what the program was started with', async () => {
    const { live, file, lines } = startLive([recording('limits', ['limits.calls'], [])]);
    live.ready();
    file.next = { level: 'info', limits: { calls: 2, streams: 2 }, port: 1 };
    await live.reload();
    const again = await live.reload();
    expect(again).toEqual({ kind: 'applied', changed: [], needRestart: ['limits.streams', 'port'] });
    file.next = FIRST;
    expect(await live.reload()).toMatchObject({ needRestart: [] });
    const warning = 'what changed in the configuration and needs a restart: limits.streams, port';
    expect(lines.filter(({ level }) => level === 'warn').map(({ text }) => text)).toEqual([warning, warning]);
  });

  it('waits until the program is ready, and serves who asks meanwhile by one reload', async () => {
    const applied: string[] = [];
    const { live, file } = startLive();
    const early = Array.from({ length: 100 }, () => live.reload());
    live.add(recording('late', ['level'], applied));
    expect(file.reads).toBe(0);
    live.ready();
    await Promise.all(early);
    expect(applied).toEqual(['late info']);
    expect(file.reads).toBe(1);
  });

  it('reads the file once more when it is asked during a reload, for the file may have changed since', async () => {
    const { live, file } = startLive();
    live.ready();
    const asked: Promise<unknown>[] = [];
    live.add({
      name: 'asks',
      keys: [],
      prepare: () => {
        if (asked.length === 0) asked.push(live.reload());
        return () => undefined;
      },
    });
    await live.reload();
    await Promise.all(asked);
    expect(file.reads).toBe(2);
  });

  it('tells of a part that failed to apply, and applies the others', async () => {
    const applied: string[] = [];
    const broken: LivePart<Config> = {
      name: 'broken part',
      keys: [],
      prepare: () => () => {
        throw new TypeError('defect');
      },
    };
    const { live, lines } = startLive([broken, recording('b', ['level'], applied)]);
    live.ready();
    await live.reload();
    expect(applied).toEqual(['b info']);
    expect(lines.filter(({ level }) => level === 'error').map(({ text }) => text)).toEqual([
      'a reload was taken over but for broken part: restart the program',
    ]);
  });
});

describe('changed keys', () => {
  it.each([
    [{ a: 1 }, { a: 1 }, []],
    [{ a: { b: 1, c: 2 } }, { a: { b: 2, c: 2 } }, ['a.b']],
    [{ a: [1, 2] }, { a: [1, 3] }, ['a']],
    [{ a: [{ b: 1 }] }, { a: [{ b: 1 }] }, []],
    [{ a: new URL('https://a.example/') }, { a: new URL('https://b.example/') }, ['a']],
    [{ a: new URL('https://a.example/') }, { a: new URL('https://a.example/') }, []],
    [{ a: [new URL('https://a.example/')] }, { a: [new URL('https://b.example/')] }, ['a']],
    [{ a: new Set(['x']) }, { a: new Set(['y']) }, ['a']],
    [{ a: Object.assign(() => 1, { of: 'x' }) }, { a: Object.assign(() => 2, { of: 'x' }) }, []],
    [{ a: Object.assign(() => 1, { of: 'x' }) }, { a: Object.assign(() => 1, { of: 'y' }) }, ['a']],
    [{}, { a: { b: 1 } }, ['a']],
    [{ a: { b: 1 } }, {}, ['a']],
    [{ a: undefined }, {}, []],
  ])('between %j and %j are %j', (before, after, expected) => {
    expect(changedKeys(before, after)).toEqual(expected);
  });
});
