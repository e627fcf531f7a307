import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { describe, expect, it } from 'vitest';
import { listingText } from './table.js';

const listing = {
  headings: ['Name', 'What'],
  rows: [
    ['web', 'one\ntwo'],
    ['evil\u001B[31m\r\u202E', 'x'],
  ],
  plain: () => 'web: one, two\n',
};

describe('a listing', () => {
  it('is a table on a terminal, its headings in bold, and what strangers sent does nothing to it', () => {
    const shown = listingText(createRecordedHost({ terminal: true }), listing);
    expect(shown).toContain('\u001B[1mName\u001B[22m');
    expect(shown).toMatch(/│ web +│ one +│\n│ +│ two +│\n/);
    expect(shown).toContain('evil\uFFFD[31m\uFFFD\uFFFD');
    expect(shown).not.toMatch(/\u001B\[31m|\r|\u202E/);
  });

  it('has no colour where nobody wants any', () => {
    const host = createRecordedHost({ terminal: true, environment: { NO_COLOR: '1' } });
    expect(listingText(host, listing)).toMatch(/^┌/);
    expect(listingText(host, listing)).not.toContain('\u001B');
  });

  it('is plain lines for scripts, for terminals that are dumb, and when there is nothing to show', () => {
    const dumb = createRecordedHost({ terminal: true, environment: { TERM: 'dumb' } });
    for (const host of [createRecordedHost(), dumb])
      expect(listingText(host, listing)).toBe('web: one, two\n');
    const nothing = { ...listing, rows: [], plain: () => 'nothing\n' };
    expect(listingText(createRecordedHost({ terminal: true }), nothing)).toBe('nothing\n');
  });
});
