import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldLines } from './http-message.js';
import { parseDictionary } from './structured-field.js';
import { trimSpace } from './trim-space.js';

describe('trimSpace', () => {
  it('takes spaces and tabs from both ends and nothing else', () => {
    expect(trimSpace(' \t a b\t ')).toBe('a b');
    expect(trimSpace('\u00a0a\u00a0')).toBe('\u00a0a\u00a0');
    expect(trimSpace(' \t ')).toBe('');
    const line = fc.string({ unit: fc.constantFrom(' ', '\t', 'a', '\u00a0', '\n') });
    fc.assert(fc.property(line, (text) => trimSpace(text) === text.replace(/^[ \t]+|[ \t]+$/g, '')));
  });

  // As large as a header can be: what looks for the end of the space from each of its characters takes seconds.
  it('lets no stranger buy time with a header full of space', () => {
    const header = `a${' '.repeat(16_000)}b`;
    const before = process.cpuUsage(); // not the time: the machine may have other work
    for (let round = 0; round < 20; round += 1) {
      expect(fieldLines({ 'x-long': header })('x-long')).toEqual([header]);
      expect(() => parseDictionary(header, 'Signature-Input')).toThrow(BonafideError);
    }
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });
});
