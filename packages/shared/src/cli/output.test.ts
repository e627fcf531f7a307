import { describe, expect, it } from 'vitest';
import { Command } from 'commander';
import { systemClock } from '../runtime/clock.js';
import type { CommandHost } from './command-host.js';
import { outputOption, printAnswer, type JsonValue, type OutputFormat } from './output.js';

function printed(format: OutputFormat, json: JsonValue, pretty = 'pretty\n'): string {
  let text = '';
  const sink = { write: (more: string) => (text += more) };
  const host: CommandHost = {
    stdin: process.stdin,
    stdout: sink,
    stderr: sink,
    environment: {},
    clock: systemClock,
    stopSignal: () => new AbortController().signal,
  };
  printAnswer(host, format, { json: () => json, pretty: () => pretty });
  return text;
}

function parsedFormat(...argv: readonly string[]): unknown {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  command.addOption(outputOption()).parse(argv, { from: 'user' });
  return command.opts()['output'];
}

describe('printAnswer', () => {
  it('prints the form that was asked for', () => {
    expect(printed('pretty', {})).toBe('pretty\n');
    expect(printed('json', { count: 1, list: ['a'] })).toBe('{"count":1,"list":["a"]}\n');
  });

  it('escapes what Go escapes, to the same value', () => {
    const value = { hint: '<a>&\u2028"\\' };
    const text = printed('json', value);
    expect(text).toBe('{"hint":"\\u003ca\\u003e\\u0026\\u2028\\"\\\\"}\n');
    expect(JSON.parse(text)).toEqual(value);
  });
});

describe('--output', () => {
  it.each([
    [[], 'pretty'],
    [['--output', 'json'], 'json'],
    [['--output', 'JSON'], 'json'],
    [['--output=prettyprint'], 'pretty'],
  ])('reads %j', (argv, format) => {
    expect(parsedFormat(...argv)).toBe(format);
  });

  it('refuses another format', () => {
    expect(() => parsedFormat('--output', 'yaml')).toThrow(/expected pretty or json/);
  });
});
