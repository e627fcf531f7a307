import { describe, expect, it } from 'vitest';
import { isUnchanged } from './conditional-request.js';

const version = { tag: '"abc"', changedAt: new Date('2026-01-02T03:04:05.678Z') };

describe('isUnchanged', () => {
  it.each([
    [{}, false],
    [{ 'if-none-match': '"abc"' }, true],
    [{ 'if-none-match': 'W/"abc"' }, true],
    [{ 'if-none-match': '"x", "abc"' }, true],
    [{ 'if-none-match': '*' }, true],
    [{ 'if-none-match': 'abc' }, false],
    [{ 'if-none-match': '"abcd"' }, false],
    [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:05 GMT' }, true],
    [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:04 GMT' }, false],
    [{ 'if-modified-since': 'yesterday' }, false],
    [{ 'if-none-match': '"x"', 'if-modified-since': 'Sat, 03 Jan 2026 03:04:05 GMT' }, false],
  ])('%j: %s', (headers, expected) => {
    expect(isUnchanged(headers, version)).toBe(expected);
  });
});
