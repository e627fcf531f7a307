import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { describe, expect, it } from 'vitest';
import { startProgress } from './progress.js';

describe('progress', () => {
  it('writes one line over and over on a terminal, and leaves nothing behind', async () => {
    const clock = new FakeClock();
    const host = createRecordedHost({ clock, terminal: true });
    const progress = startProgress(host, 'importing entries', 50_000);
    progress.advance(12_000);
    await clock.advance(100);
    progress.advance(13_000);
    await clock.advance(100);
    progress.done();
    await clock.advance(60_000);
    expect(host.printed.stderr.split('\r\u001b[K')).toEqual([
      '',
      'importing entries: 12,000 of 50,000 (24 %), 120,000/s',
      'importing entries: 25,000 of 50,000 (50 %), 125,000/s',
      '',
    ]);
    expect(host.printed.stdout).toBe('');
  });

  it('writes a line every ten seconds where nobody watches, or the terminal cannot go back', async () => {
    for (const options of [{}, { terminal: true, environment: { TERM: 'dumb' } }]) {
      const clock = new FakeClock();
      const host = createRecordedHost({ clock, ...options });
      const progress = startProgress(host, 'listing agents');
      progress.advance(2_000);
      await clock.advance(9_999);
      expect(host.printed.stderr).toBe('');
      await clock.advance(1);
      progress.advance(2_000);
      await clock.advance(10_000);
      progress.done();
      await clock.advance(60_000);
      expect(host.printed.stderr).toBe('listing agents: 2,000, 200/s\nlisting agents: 4,000, 200/s\n');
    }
  });

  it('says nothing about work that was quick', async () => {
    const clock = new FakeClock();
    const host = createRecordedHost({ clock, terminal: true });
    const progress = startProgress(host, 'counting');
    progress.advance(1);
    await clock.advance(99);
    progress.done();
    progress.done();
    await clock.advance(60_000);
    expect(host.printed.stderr).toBe('');
  });
});
