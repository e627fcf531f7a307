import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logTextLine } from './log-text.js';

const TIME = '2026-11-22T10:00:00.123Z';

function textOf(fields: Readonly<Record<string, unknown>>): string {
  return logTextLine(JSON.stringify({ time: TIME, level: 'info', ...fields }));
}

/** As a reader of logrus' format takes a line apart; throws where it is not in that format. */
function parseLine(line: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  const pair = /([\w.-]+|"(?:[^"\\]|\\.)*")=("(?:[^"\\]|\\.)*"|[A-Za-z0-9\-._/@^+]*)( |\n$)/y;
  for (let at = 0; at < line.length; at = pair.lastIndex) {
    const [, key, value] = pair.exec(line) ?? [];
    if (key === undefined || value === undefined) throw new Error(`no field at ${at} of ${line}`);
    fields.set(key, value);
  }
  return fields;
}

describe('a text line', () => {
  // What logrus 1.9.4 wrote for the same, with its TextFormatter.
  it.each([
    [{ msg: 'started' }, 'msg=started'],
    [
      { msg: 'Starting Server APIs', network: 'unix', address: '/tmp/api.sock' },
      'msg="Starting Server APIs" address=/tmp/api.sock network=unix',
    ],
    [{ msg: '', a: '' }, 'a='],
    [
      { msg: 'm', spiffe_id: 'spiffe://a/b', n: 921, b: false, z: null },
      'msg=m b=false n=921 spiffe_id="spiffe://a/b" z="<nil>"',
    ],
    [{ msg: 'm', a: ['b"4', 1, true] }, String.raw`msg=m a="[b\"4 1 true]"`],
    [{ msg: 'm\\\u0085\u0006' }, String.raw`msg="m\\\u0085\x06"`],
    [{ msg: 'a\nb\tc\x7f\x00' }, String.raw`msg="a\nb\tc\x7f\x00"`],
    [{ msg: '@\u200b\u00a0\u202e' }, String.raw`msg="@\u200b\u00a0\u202e"`],
    [{ msg: 'ğ😀\u{10ffff}' }, 'msg="ğ😀\\U0010ffff"'],
  ])('of %j is the one of logrus', (fields, expected) => {
    expect(textOf(fields)).toBe(`time="${TIME}" level=info ${expected}\n`);
  });

  it.each([
    'ok\ntime="2026-01-01T00:00:00Z" level=info msg="Agent banned"',
    'ok" level=error msg="forged',
    'ok\\" level=error',
    'ok\r\n\x1b[2Jgone\x9b31m',
    'ok\u2028level=error\u0085level=error',
    '\u202eoops',
  ])('cannot be forged by the text %j, wherever it stands', (text) => {
    const line = textOf({ msg: text, field: text, list: [text], [text]: 'key' });
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}](?!$)/u);
    const fields = parseLine(line);
    expect(fields.size).toBe(6);
    expect(fields.get('level')).toBe('info');
  });

  it('is one line of fields whatever is logged, and says it again when read', () => {
    const unit = fc.oneof(fc.nat(0x7f), fc.nat(0x10ffff)).map((code) => String.fromCodePoint(code));
    fc.assert(
      fc.property(fc.string({ unit }), fc.string({ unit }), (msg, value) => {
        const fields = parseLine(textOf({ msg: `m${msg}`, value }));
        expect([...fields.keys()]).toEqual(['time', 'level', 'msg', 'value']);
        const bare = fields.get('value') ?? '';
        expect(bare.startsWith('"') ? unquoted(bare) : bare).toBe(value);
      }),
    );
  });
});

const UNQUOTED: ReadonlyMap<string, string> = new Map(
  Object.entries({ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '"': '"', '\\': '\\' }),
);

function unquoted(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gu,
      (_all, x, u, long, character: string) => {
        const code = [x, u, long].find((digits): digits is string => typeof digits === 'string');
        return code === undefined
          ? (UNQUOTED.get(character) ?? '?')
          : String.fromCodePoint(parseInt(code, 16));
      },
    );
}
